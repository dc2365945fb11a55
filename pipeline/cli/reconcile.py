"""`sunledger reconcile`: our energies compared with SMA's own, on the terminal."""

import datetime as dt
from collections.abc import Callable, Sequence

import polars as pl

from assets.runs import record_runs
from pipeline.cli.bills.cost_consent import agree
from pipeline.cli.console import Bars, say, say_all, show_table
from pipeline.common.errors import UsageError
from pipeline.common.text import pluralize
from pipeline.extract.vendor_energies import (
    check_month_is_over,
    check_year_is_over,
    fetch_energy_months,
    fetch_energy_years,
    plan_month_requests,
    plan_year_requests,
)
from pipeline.run.context import RunContext
from pipeline.run.notices import Notices
from pipeline.run.step_result import StepResult
from pipeline.sma.requests import Request
from pipeline.tables.reconciliation_tables import write_reconciliation, write_reconciliation_yearly
from pipeline.transform.reconciliation import NONE, ROUNDING
from schemas import Reconciliation, ReconciliationYearly

# The number of largest differences to show; the table holds all of them.
SHOWN = 20
# The reasons of figures that agree, in words; the others are shown as the table has them.
AGREES = {NONE: "equal", ROUNDING: "equal within the tolerance"}


def run_month(runtime: RunContext, month: dt.date, max_requests: int | None, *, yes: bool) -> Notices:
    """Fetch SMA's figures of the month, compare, publish, and show the result. Returns what is missing."""
    runtime.settings.require_credentials()
    # Before anybody is asked for consent to the cost of requests that are not sent.
    check_month_is_over(runtime, month)
    requests = plan_month_requests(runtime, month)
    _announce(runtime, f"{month:%Y-%m}", requests, max_requests, yes=yes)
    notices = _compare(runtime, lambda: fetch_energy_months(runtime, month), write_reconciliation)
    stored = runtime.lake.scan(Reconciliation).filter(pl.col("month") == month, pl.col("period") == "day")
    rows = stored.collect()
    show_differences(rows, "local_date")
    show_plants_without(requests, rows, notices)
    return notices


def run_year(runtime: RunContext, year: int, max_requests: int | None, *, yes: bool) -> Notices:
    """Do the same as `run_month` for the months of a year."""
    runtime.settings.require_credentials()
    try:
        first = dt.date(year, 1, 1)
    except ValueError:
        raise UsageError(f"--year {year} is not a year: write it as YYYY.") from None
    check_year_is_over(runtime, first)
    requests = plan_year_requests(runtime, first)
    _announce(runtime, str(year), requests, max_requests, yes=yes)
    notices = _compare(runtime, lambda: fetch_energy_years(runtime, first), write_reconciliation_yearly)
    stored = runtime.lake.scan(ReconciliationYearly).filter(
        pl.col("year") == first, pl.col("period") == "month"
    )
    rows = stored.collect()
    show_differences(rows, "month")
    show_plants_without(requests, rows, notices)
    return notices


def _compare(
    runtime: RunContext, fetch: Callable[[], StepResult], write: Callable[[RunContext], object]
) -> Notices:
    """Fetch SMA's figures, compare them with ours, and publish; what is missing."""
    # Opened before the first request, because its faults would be reported too late.
    with record_runs(runtime, command="reconcile") as runs:
        with Bars() as bars:
            runtime.progress = bars
            notices = fetch().notices
        write(runtime)
        say_all(runs.publish())
    notices.add(runs.notices)
    return notices


def _announce(
    runtime: RunContext, period: str, requests: list[Request], max_requests: int | None, *, yes: bool
) -> None:
    """Say how many requests are needed, refuse more than the limit, and ask for consent to their cost."""
    needed = len(requests)
    if max_requests is not None and needed > max_requests:
        raise UsageError(
            f"{period} needs {pluralize(needed, 'request')}, more than --max-requests {max_requests}, so no request "
            "was sent: choose fewer plants, or raise the limit."
        )
    say(
        f"{period} needs {pluralize(needed, 'request')}, one for each plant whose figures by SMA are not stored yet."
    )
    agree(runtime, [request.plant_id for request in requests], yes=yes)


def show_differences(rows: pl.DataFrame, date: str) -> None:
    """Print the differences by reason, and the largest ones. `date` names the column of the day or month."""
    found = dict(rows["reason"].value_counts().sort("reason").rows())
    ordered = [
        *(reason for reason in AGREES if reason in found),
        *(name for name in found if name not in AGREES),
    ]
    counts = ", ".join(f"{found[reason]:,} {AGREES.get(reason, reason)}" for reason in ordered)
    say(
        f"Compared {pluralize(rows.height, 'figure')} of {pluralize(rows['plant_id'].n_unique(), 'plant')}: "
        f"{counts or 'there was nothing to compare'}."
    )
    off = rows.filter(~pl.col("agrees"))
    size = (pl.col("measured_kwh").fill_null(0) - pl.col("vendor_kwh").fill_null(0)).abs()
    largest = off.sort(size, "plant_id", date, "quantity", descending=[True, False, False, False]).head(SHOWN)
    if not largest.height:
        return
    heads = {"measured_kwh": "measured kWh", "vendor_kwh": "SMA kWh"}
    if "energy_values_kwh" in rows.columns and rows["energy_values_kwh"].count():
        heads["energy_values_kwh"] = "energy values kWh"
    heads |= {"difference_kwh": "difference", "tolerance_kwh": "tolerance"}
    texts = {"plant_id": "plant", date: date.removeprefix("local_"), "quantity": "quantity"}
    after = {"reason": "reason", "would_book": "would book"}
    columns = [(head, False) for head in texts.values()]
    columns += [(head, True) for head in heads.values()] + [(head, False) for head in after.values()]
    shown = largest.select(*texts, *heads, *after).rows()
    first, last = len(texts), len(texts) + len(heads)
    show_table(
        f"The largest of {pluralize(off.height, 'difference')} above the tolerance",
        columns,
        [(*map(str, row[:first]), *map(_format_kwh, row[first:last]), *row[last:]) for row in shown],
    )


def show_plants_without(requests: Sequence[Request], rows: pl.DataFrame, notices: Notices) -> None:
    """Name the plants that were asked for and can't be compared, unless their requests are missing."""
    told = {item.plant_id for item in notices.missing}
    without = sorted({request.plant_id for request in requests} - set(rows["plant_id"]) - told)
    if without:
        names = ", ".join(without[:SHOWN]) + (", …" if len(without) > SHOWN else "")
        say(
            f"{pluralize(len(without), 'plant')} can't be compared, because SMA gave no energy of days that are stored "
            f"here: {names}."
        )


def _format_kwh(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3f}"
