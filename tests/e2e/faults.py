"""What each fault of the sandbox does to a day's row: `python -m tests.e2e.faults` writes it into docs/quality.md.

Each fault meets a day of its own of one plant of two, on its first reading; the same day without it is beside it.
"""

import datetime as dt
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from bench.lists import refresh_lists
from pipeline.common.settings import load_settings
from pipeline.extract.fetch import SetFetch
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.tables.energy_tables import write_energy_daily
from pipeline.tables.interval_tables import write_intervals
from sandbox.faults.catalogue import KINDS, FaultStage, Kind
from sandbox.launch import SandboxAddress, run_sandbox
from schemas import EnergyDaily, Plants, Quarantine, RawEnergyBalance

DOC = Path("docs/quality.md")
BEGIN, END = "<!-- faults -->\n", "<!-- end of faults -->\n"
FIRST = dt.date(2025, 6, 1)
# These would take minutes or gigabytes, and do the same in less.
AMOUNTS = {"stall": 0.5, "slow_first_byte": 0.5, "slow_body": 0.5, "huge_answer": 1.0}
# What cuts weeks short is shown on a day.
AMOUNTS |= {"first_rows_only": 200, "last_rows_only": 200}
# What passes when it is asked again is met once; what would strike forever tells more.
ONCE = {FaultStage.BEFORE, FaultStage.INSTEAD, FaultStage.WIRE}
# Taken back by nothing, so each meets a sandbox of its own.
LASTING = ("revoked_consent", "lost_owner", "narrowed_consent", "migration")


def table() -> str:
    """The table as Markdown, from a run of every fault."""
    passing = [kind for kind in KINDS.values() if kind.name not in LASTING]
    with tempfile.TemporaryDirectory() as home:
        plain = _met(Path(home) / "plain", [None] * len(passing))
        met = _met(Path(home) / "met", passing)
        lines = [_line(kind, *rows) for kind, *rows in zip(passing, plain, met, strict=True)]
        for kind in (KINDS[name] for name in LASTING):
            (row,) = _met(Path(home) / kind.name, [kind])
            lines.append(_line(kind, plain[0], row))
    head = "| fault | PV energy | status | coverage | bridged | rows | flagged | suspect | in `quarantine` |"
    return "\n".join([head, "|---|---|---|---|---|---|---|---|---|", *sorted(lines)]) + "\n"


def _met(home: Path, kinds: Sequence[Kind | None]) -> list[dict[str, Any]]:
    """The day's rows of a sandbox of two plants, a day for each fault; None: without one."""
    with run_sandbox("--plants", "2", "--time-basis", "plant_local") as address:
        return _days(address, home, len(kinds), lambda number: _meet(address, kinds[number]))


def _meet(address: SandboxAddress, kind: Kind | None) -> None:
    if kind is None:
        return
    fault: dict[str, Any] = {"kind": kind.name, "plants": [_PLANT], "path": "EnergyBalance"}
    if kind.name in AMOUNTS:
        fault["amount"] = AMOUNTS[kind.name]
    if kind.stage in ONCE:
        fault["times"] = 1
    url = f"{address.url}/_control/faults"
    httpx.put(url, json={"faults": [fault]}).raise_for_status()


_PLANT = "5000000"


def _days(
    address: SandboxAddress, home: Path, count: int, before: Callable[[int], None]
) -> list[dict[str, Any]]:
    given = {name.lower().removeprefix("sunledger_"): value for name, value in address.settings().items()}
    settings = load_settings(
        env_file=None, home=home, max_eur_per_month="1000", **(given | {"sma_time_basis": "plant_local"})
    )
    found = []
    with RunContext(settings) as runtime:
        refresh_lists(runtime)
        assert _PLANT in set(runtime.lake.scan(Plants).collect()["plant_id"])
        for number in range(count):
            day = FIRST + dt.timedelta(days=number)
            before(number)
            for _ in SetFetch(BALANCE)(runtime, [day]):
                pass
            write_intervals(runtime, BALANCE, day)
            write_energy_daily(runtime, day)
            found.append(_row(runtime, day))
    return found


def _row(runtime: RunContext, day: dt.date) -> dict[str, Any]:
    mine = (pl.col("local_date") == day) & (pl.col("plant_id") == _PLANT)
    (row,) = runtime.lake.scan(EnergyDaily).filter(mine).collect().rows(named=True)
    reasons = runtime.lake.scan(Quarantine).filter(mine).group_by("reason").len().sort("reason").collect()
    attempts = runtime.lake.scan(RawEnergyBalance).filter(mine).select(pl.col("attempts").max()).collect()
    return row | {"reasons": reasons.rows(), "attempts": attempts.item()}


def _line(kind: Kind, plain: dict[str, Any], met: dict[str, Any]) -> str:
    amount = f", {AMOUNTS[kind.name]:g} {kind.amount_unit}" if kind.name in AMOUNTS else ""
    energy = "none"
    if met["pv_generation_kwh"] is not None:
        change = met["pv_generation_kwh"] / plain["pv_generation_kwh"] - 1
        energy = "as it was" if abs(change) < 1e-9 else f"{100 * change:+.2f} %"
    reasons = [f"`{reason}`" + (f" {count} times" if count > 1 else "") for reason, count in met["reasons"]]
    again = ["asked again"] if (met["attempts"] or 1) > 1 else []
    cells = [
        f"`{kind.name}`{amount}",
        energy,
        met["status"],
        f"{100 * met['coverage']:.1f} %",
        f"{60 * met['bridged_h']:.0f} min",
        f"{met['n_rows']} of {plain['n_rows']}",
        str(met["n_flagged"]),
        str(met["n_suspect"]),
        ", ".join([*reasons, *again]) or "nothing",
    ]
    return f"| {' | '.join(cells)} |"


def written() -> str:
    """The table as the document has it."""
    return DOC.read_text().split(BEGIN)[1].split(END)[0]


if __name__ == "__main__":
    before, rest = DOC.read_text().split(BEGIN)
    DOC.write_text(f"{before}{BEGIN}{table()}{END}{rest.split(END)[1]}")
