"""Flips: one bit of one file is another one, as after a bad disk, cable or memory.

Either `verify` sees it, or every table is as it was. What it sees, `repair` heals, or it says what is lost.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from schemas import RAW, TABLES, storage
from tests.torture.cases import Case
from tests.torture.compare import Tables, UnreadableError, differences, tables_of
from tests.torture.kills import SHOWN
from tests.torture.looker import Look, Looker
from tests.torture.programs import run
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


def _is_published(path: Path, home: Path) -> bool:
    return path.parent == home and "sunledger.duckdb" in path.name


def _is_record(path: Path, home: Path) -> bool:
    return path.relative_to(home).parts[0] == "dagster"


LAYERS: dict[str, Callable[[Path, Path], bool]] = {
    "raw": _of(_RAW),
    "core": _of(_CORE),
    "report": _of(_REPORT),
    "log": _is_log,
    "published": _is_published,
    "records": _is_record,
}


def flips(stage: Stage, seed: str, count: int, heal_every: int) -> Iterator[Case]:
    """So many flips, in all layers in turn; `repair` is tried on each `heal_every`th that is seen (0: on none)."""
    goal = stage.state(STATE)
    stage.lay(STATE)
    looker = Looker(stage.home, goal.tables)
    seen = 0
    try:
        whole = looker.look()
        if whole.code or whole.differences:
            raise RuntimeError(f"The home is not whole before the first flip: {whole}")
        for number in range(count):
            layer = list(LAYERS)[number % len(LAYERS)]
            rng = random.Random(f"{seed}/{number} {layer}")  # noqa: S311 - draws cases, guards nothing
            case = Case("flip", layer, f"{seed}/{number}")
            path, before = _flip(stage, layer, rng, case)
            look = looker.look()
            judge(case, look)
            # Records of runs hold no figure: whether they are whole shows at the next run.
            tried = case.struck or layer == "records"
            seen += tried
            if tried and heal_every and seen % heal_every == 0:
                _heal(stage, case) if case.struck else _run_on(stage, case)
                stage.lay(STATE)
            else:
                path.write_bytes(before)
            yield case
    finally:
        looker.close()


def _flip(stage: Stage, layer: str, rng: random.Random, case: Case) -> tuple[Path, bytes]:
    """Flip a bit; the file, and its bytes as they were."""
    belongs = LAYERS[layer]
    files = sorted(
        p for p in stage.home.rglob("*") if p.is_file() and p.stat().st_size and belongs(p, stage.home)
    )
    path = rng.choice(files)
    before = path.read_bytes()
    least = len(before) - FOOTER if path.suffix == ".parquet" and rng.random() < 0.5 else 0
    place, bit = rng.randrange(max(0, least), len(before)), rng.randrange(8)
    after = bytearray(before)
    after[place] ^= 1 << bit
    path.write_bytes(after)
    case.moment = f"bit {bit} of byte {place} of {path.relative_to(stage.home)}"
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
    """`repair`, then the program's own next run: all tables must be there again, or it says what is lost."""
    act = ACTS["close"]
    mended = run(stage.path, "repair", **stage.settings(act))
    verified = run(stage.path, "verify")
    case.next_s, case.peak_mb = mended.seconds, mended.peak_mb
    try:
        found = differences(*map(_without_targets, (stage.state(STATE).tables, tables_of(stage.home))))
    except UnreadableError as fault:
        found = [str(fault)]
    case.healed = not verified.code and not found
    case.outcome = "seen and healed" if case.healed else "seen and not healed"
    if mended.code == 0 and (verified.code or found):
        said = verified.said if verified.code else "; ".join(found)
        case.faults.append(f"repair says that all is well, but: {said[-SHOWN:]}")
    if "Traceback" in mended.said:
        case.faults.append("repair says a traceback")


def _without_targets(tables: Tables) -> Tables:
    """The tables without the address of each answer: `repair` asks for a day what a run had asked for a week."""
    return {name: frame.drop("target", strict=False) for name, frame in tables.items()}


def _run_on(stage: Stage, case: Case) -> None:
    """The next run goes through, or it names `repair`, after which it does; no figure is another one."""
    ended = run(stage.path, "publish")
    if ended.code:
        case.struck, case.outcome = True, "seen by the next run"
        if "sunledger repair" not in ended.said or "Traceback" in ended.said:
            case.faults.append(f"publish left with {ended.code}: {ended.said[-SHOWN:]}")
        mended = run(stage.path, "repair")
        ended = run(stage.path, "publish")
        case.healed = not ended.code
        if ended.code:
            case.faults.append(
                f"publish after repair left with {ended.code}: {(mended.said + ended.said)[-SHOWN:]}"
            )
    case.next_s = ended.seconds
