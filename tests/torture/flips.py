"""Flips: one bit of one file is another one, as after a bad disk, cable or memory.

Either `verify` sees it, or every table is as it was. What it sees, `repair` heals, or it says what is lost.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from schemas import RAW, TABLES, storage
from tests.torture.cases import Case
from tests.torture.kills import SHOWN
from tests.torture.looker import Look
from tests.torture.states import ACTS, Stage

# The end of a Parquet file says where everything is, and is small beside the pages.
FOOTER = 4096
STATE = "closed"
_RAW = {storage(model).table for model in RAW}
_CORE = {storage(model).table for model in TABLES if storage(model).layer == "core"}
_REPORT = {storage(model).table for model in TABLES if storage(model).layer == "report"}


def _of(tables: set[str]) -> Callable[[Path, Path], bool]:
    def is_part(path: Path, home: Path) -> bool:
        inside = path.relative_to(home).parts
        return inside[0] == "lake" and inside[1] in tables and path.suffix == ".parquet"

    return is_part


def _is_log(path: Path, home: Path) -> bool:
    return "_delta_log" in path.parts


def _is_digest(path: Path, home: Path) -> bool:
    return path.relative_to(home).parts[:2] == ("lake", "_digests")


def _is_published(path: Path, home: Path) -> bool:
    return path.parent == home and "sunledger.duckdb" in path.name


def _is_record(path: Path, home: Path) -> bool:
    return path.relative_to(home).parts[0] == "dagster"


LAYERS: dict[str, Callable[[Path, Path], bool]] = {
    "raw": _of(_RAW),
    "core": _of(_CORE),
    "report": _of(_REPORT),
    "log": _is_log,
    "digests": _is_digest,
    "published": _is_published,
    "records": _is_record,
}


def flips(stage: Stage, seed: str, count: int, heal_every: int) -> Iterator[Case]:
    """So many flips, in all layers in turn; `repair` is tried on each `heal_every`th that is seen (0: on none)."""
    _lay_whole(stage)
    seen = 0
    for number in range(count):
        case = Case("flip", list(LAYERS)[number % len(LAYERS)], f"{seed}/{number}")
        path, before = _flip(stage, case)
        judge(case, stage.looker.look(stage.state(STATE).tables))
        # Records of runs hold no figure: whether they are whole shows at the next run.
        tried = case.struck or case.what == "records"
        seen += tried
        if tried and heal_every and seen % heal_every == 0:
            _heal(stage, case)
            stage.lay(STATE)
        else:
            path.write_bytes(before)
        yield case


def flip(stage: Stage, layer: str, seed: str) -> Case:
    """The flip that this seed draws, and its repair."""
    _lay_whole(stage)
    case = Case("flip", layer, seed)
    _flip(stage, case)
    judge(case, stage.looker.look(stage.state(STATE).tables))
    if case.struck or layer == "records":
        _heal(stage, case)
    return case


def _lay_whole(stage: Stage) -> None:
    goal = stage.state(STATE)
    stage.lay(STATE)
    whole = stage.looker.look(goal.tables)
    if whole.code or whole.differences:
        raise RuntimeError(f"The home is not whole before the first flip: {whole}")


def _flip(stage: Stage, case: Case) -> tuple[Path, bytes]:
    """Flip a bit; the file, and its bytes as they were."""
    belongs = LAYERS[case.what]
    rng = random.Random(f"{case.seed} {case.what}")  # noqa: S311 - draws cases, guards nothing
    files = [p for p in stage.home.rglob("*") if p.is_file() and p.stat().st_size and belongs(p, stage.home)]
    # Names of parts are drawn by lot, the order in which they were written is the same in each run.
    path = rng.choice(sorted(files, key=lambda file: (file.parent, file.stat().st_mtime_ns, file.name)))
    before = path.read_bytes()
    least = len(before) - FOOTER if path.suffix == ".parquet" and rng.random() < 0.5 else 0
    place, bit = rng.randrange(max(0, least), len(before)), rng.randrange(8)
    after = bytearray(before)
    after[place] ^= 1 << bit
    path.write_bytes(after)
    case.moment = f"bit {bit} of byte {place} of {path.relative_to(stage.home)}"
    case.again = {"scenario": "flip", "layer": case.what, "seed": case.seed}
    return path, before


def judge(case: Case, look: Look) -> None:
    """Seen, harmless, or unseen, which is a fault."""
    case.struck, case.equal = bool(look.code), not look.differences
    if look.died:
        case.outcome = "ended the reader"
        case.faults.append("verify was ended by what it read")
    elif look.code:
        case.outcome = "seen"
        if "Traceback" in look.said:
            case.faults.append("verify says a traceback")
    elif look.differences:
        case.outcome, case.verified = "unseen", False
        case.faults += look.differences[:3]
    else:
        case.outcome = "harmless"


def _heal(stage: Stage, case: Case) -> None:
    """`repair` makes all tables what they were, or it says what is lost; records of runs show at the next run."""
    if not case.struck:
        _run_on(stage, case)
        return
    mended = stage.run("repair", **stage.settings(ACTS["close"]))
    case.next_s, case.peak_mb = mended.seconds, mended.peak_mb
    # Lost answers are asked for by the day, where a run had asked for a week; all others come as they were.
    look = stage.looker.look(stage.state(STATE).tables, any_period=case.what == "raw")
    case.healed = not look.code and not look.differences
    case.outcome = "seen and healed" if case.healed else "seen and not healed"
    if mended.code == 0 and not case.healed:
        lacking = look.said if look.code else "; ".join(look.differences)
        case.faults.append(f"repair says that all is well, but: {lacking[-SHOWN:]}")
    if "Traceback" in mended.said:
        case.faults.append("repair says a traceback")


def _run_on(stage: Stage, case: Case) -> None:
    """The next run goes through, or it names `repair`, after which it does; no figure is another one."""
    ended = stage.run("publish")
    if ended.code:
        case.struck, case.outcome = True, "seen by the next run"
        if "sunledger repair" not in ended.said or "Traceback" in ended.said:
            case.faults.append(f"publish left with {ended.code}: {ended.said[-SHOWN:]}")
        mended = stage.run("repair")
        ended = stage.run("publish")
        case.healed = not ended.code
        if ended.code:
            case.faults.append(
                f"publish after repair left with {ended.code}: {(mended.said + ended.said)[-SHOWN:]}"
            )
    case.next_s = ended.seconds
