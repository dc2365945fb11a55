"""Rebuilds lost parts of the lake from the published copy, stored answers or SMA, and says what nothing can rebuild.

`warehouse.repairs.lake_repair` has made the lake readable before. Rows that are rebuilt in a part that is empty are a
first writing, and no restatement: what they were before is gone, and what they are now was what they were.
"""

import datetime as dt
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import cast

import polars as pl

from pipeline.billing.lost_requests import add_lost_days
from pipeline.common.files.regular_files import list_regular_files, walk_regular_files
from pipeline.common.settings import Settings
from pipeline.common.text import pluralize
from pipeline.extract.consent_refresh import store_consents
from pipeline.ops.repair_list import LostParts
from pipeline.ops.repair_requests import LISTS_ASKED, RepairOutcome
from pipeline.ops.set_aside import name_folder
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import SOURCES, VALUES
from pipeline.sma.consents.consent_book import ConsentBook
from pipeline.tables.grid_control_tables import write_grid_commands, write_grid_schedules
from pipeline.tables.inventory_tables import (
    write_devices,
    write_measurement_sets,
    write_plant_attributes,
    write_plants,
    write_sub_plants,
)
from pipeline.tables.reconciliation_tables import write_reconciliation, write_reconciliation_yearly
from schemas import (
    RAW,
    TABLES,
    ApiRequests,
    BillingUnits,
    Consents,
    CoverageDaily,
    Devices,
    EnergyDaily,
    EnergyHourly,
    EnergyMonthly,
    GridCommandAudit,
    GridCommands,
    GridSchedules,
    Invoices,
    KpiMonthly,
    LiveReadings,
    LogMessages,
    Logs,
    MeasurementSets,
    OtherIntervals,
    PlantAttributes,
    Plants,
    ProfileMonthly,
    QuarterHours,
    RawDevices,
    RawEnergyBalance,
    RawEnergyMonths,
    RawEnergyYears,
    RawGridSchedules,
    RawLogs,
    RawMeasurementSets,
    RawOtherSets,
    RawPlants,
    Reconciliation,
    ReconciliationYearly,
    Restatements,
    RowChanges,
    SubPlants,
    Table,
    storage,
)
from warehouse.lake import Lake
from warehouse.lake_lock import take_repair_turn
from warehouse.published_file.published_copy import PublishedCopy
from warehouse.repairs.lake_mirror import open_mirror
from warehouse.repairs.lake_repair import LakeRepair
from warehouse.repairs.lost_parts import LostPart, Step
from warehouse.verification.known_tables import FILE as KNOWN_TABLES
from warehouse.verification.known_tables import KnownTables

# Tables that hold what happened: nothing but a copy brings it back.
RECORDS = (Restatements, RowChanges, ApiRequests, LiveReadings, RawGridSchedules, GridCommandAudit)
# What it means for people that a day of them is lost; rows of today may have been added since.
_LOST_RECORDS: dict[type[Table], str] = {
    ApiRequests: (
        "the record of requests of that day is lost, so PU of that month are a lower bound: compare them with SMA's "
        "invoice"
    ),
    LiveReadings: "the live values of that day are lost; SMA keeps none, and no other table needs them",
    RawGridSchedules: (
        "what was read of grid control on that day is lost: schedules that SMA still lists are read again"
    ),
    GridCommandAudit: (
        "what was ordered of plants on that day is lost: api_requests and SMA's portal still show it"
    ),
}
# Made of a day's stored answers, and of nothing else that may be lost.
OF_DAYS: frozenset[type[Table]] = frozenset(
    model for model in TABLES if storage(model).partition == ("local_date",) and model not in (*RAW, *RECORDS)
)
# Made of days, months and requests. A month's figures that were closed, and fees of then, are more than that.
OF_ALL: frozenset[type[Table]] = frozenset(
    {KpiMonthly, ProfileMonthly, LogMessages, Reconciliation, ReconciliationYearly, Invoices}
)
LISTS: dict[type[Table], tuple[type[Table], Callable[[RunContext, dt.date], object]]] = {
    Plants: (RawPlants, write_plants),
    SubPlants: (RawPlants, write_sub_plants),
    Devices: (RawDevices, write_devices),
    MeasurementSets: (RawMeasurementSets, write_measurement_sets),
}
GRID_CONTROL: dict[type[Table], Callable[[RunContext], object]] = {
    GridSchedules: write_grid_schedules,
    GridCommands: write_grid_commands,
}
_BY_TABLE = {storage(model).table: model for model in TABLES}
_MADE_OF: dict[type[Table], tuple[type[Table], ...]] = {
    **{source.intervals: (source.raw,) for source in (*SOURCES, VALUES)},
    OtherIntervals: (RawOtherSets,),
    EnergyHourly: (RawEnergyBalance,),
    QuarterHours: (RawEnergyBalance,),
    CoverageDaily: (RawEnergyBalance,),
}
# A raw table is lost where the first one has rows, and is asked for the days of the second one.
_MADE_INTO: dict[type[Table], tuple[type[Table], type[Table]]] = {
    **{
        source.raw: (source.intervals, source.intervals)
        for source in (*SOURCES[::-1], VALUES)
        if not source.shares_raw
    },
    RawLogs: (Logs, EnergyDaily),
}


def make_readable(
    settings: Settings,
    copy: PublishedCopy | None,
    tell: Callable[[str], None] = lambda _: None,
    *,
    lost_lake: bool = False,
) -> list[Step]:
    """Repair logs and set aside what can't be read, so that every command works; what was found.

    Lost parts go to the home's list of them. Waits for others that write just now, and has that told. Raises
    LakeLostError for a lake that is gone as a whole, which may only be out of reach, unless `lost_lake` says that it is
    gone for good; and SunledgerError.
    """
    lake = Lake(settings.lake, settings.home / "tmp")
    known = KnownTables(settings.home, settings.warehouse)
    if not lost_lake:
        known.check_lake(lake)
    missing = known.find_missing(lake)
    aside = name_folder(settings, dt.datetime.now(dt.UTC))
    parts = LostParts(settings.home)
    with take_repair_turn(lake.root, tell), _open_on_disk(settings, lake, tell) as on_disk:
        steps = LakeRepair(on_disk, aside, OF_DAYS | OF_ALL, copy, parts.add).run()
        parts.add(find_lost_tables(on_disk, copy, missing))
        if missing:
            known.forget(missing)
    return steps


def _open_on_disk(
    settings: Settings, lake: Lake, tell: Callable[[str], None]
) -> AbstractContextManager[Lake]:
    """The lake itself, or a copy of the one on an object store, whose changes go there."""
    return open_mirror(lake, settings.home, tell) if lake.remote else nullcontext(lake)


@contextmanager
def open_shadow(settings: Settings) -> Iterator[Settings]:
    """Settings of a home that looks the same and is not: logs are copied, files are links. For a dry run.

    Of a lake on an object store all is copied.
    """
    with (
        tempfile.TemporaryDirectory(prefix=".sunledger-repair-", dir=settings.home) as folder,
        ExitStack() as opened,
    ):
        home = Path(folder)
        lake = Lake(settings.lake, home / "tmp")
        if lake.remote:
            root = opened.enter_context(open_mirror(lake, home, lambda _: None, keep=False)).root
        else:
            root = str(home / "lake")
            _link_files(Path(settings.lake), Path(root))
        for kept in ("spending", "repair"):
            for file in list_regular_files(settings.home / kept, ".json"):
                (home / kept).mkdir(exist_ok=True)
                (home / kept / file.name).write_bytes(file.read_bytes())
        for file in settings.home.glob(KNOWN_TABLES):
            (home / file.name).write_bytes(file.read_bytes())
        # The published file does not belong to a lake in which lost tables begin again, so the dry run gets a place of
        # its own.
        yield settings.model_copy(
            update={"home": home, "lake": root, "warehouse": home / settings.warehouse.name}
        )


def _link_files(source: Path, copy: Path) -> None:
    for file in walk_regular_files(source):
        target = copy / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if "_delta_log" in file.parts:
            target.write_bytes(file.read_bytes())
        else:
            target.symlink_to(file)


def put_back(
    runtime: RunContext, copy: PublishedCopy | None, outcome: RepairOutcome, lost: Iterable[LostPart]
) -> None:
    """Put rows back from the published file: where they are what was lost, or where nothing else has them."""
    for one in lost:
        # Requests of today may have come into the part since.
        if copy is None or (
            one.model is not ApiRequests and runtime.lake.name_stored_files(one.model, one.part)
        ):
            continue
        version = copy.read_version(one.model)
        current = one.published is not None and one.published == version
        if version < 0 or not (current or one.model not in OF_DAYS | OF_ALL):
            continue
        rows = copy.read_rows(one.model, one.part)
        if rows.height and one.model is ApiRequests:
            runtime.lake.append(one.model, one.part, rows)
        elif rows.height:
            runtime.lake.replace(one.model, one.part, [rows])
        elif not current:
            continue
        if current:
            outcome.copied[one] = "restored from the published file"
        else:
            text = f"restored from the published file of {copy.published_at}; rows that were written later are lost"
            outcome.healed[one] = text


def make_lists(runtime: RunContext, outcome: RepairOutcome, lost: Iterable[LostPart]) -> None:
    """Make plants, devices, sets and consents again, from all stored lists in their order, or the book of consents.

    So are the plants' attributes, from their file.
    """
    for one in [one for one in lost if one not in outcome.known]:
        if one.model in LISTS:
            raw, write = LISTS[one.model]
            days = [dt.date.fromisoformat(part["local_date"]) for part in runtime.lake.list_parts(raw)]
            for day in days:
                # What lists of earlier days lacked was reported before, so it is not reported again.
                write(runtime, day)
            if days:
                outcome.healed[one] = f"rebuilt from {pluralize(len(days), 'stored list')}"
        elif one.model is PlantAttributes:
            write_plant_attributes(runtime)
            outcome.healed[one] = "rebuilt from the file of SUNLEDGER_PLANT_ATTRIBUTES"
        elif one.model in GRID_CONTROL:
            GRID_CONTROL[one.model](runtime)
            outcome.healed[one] = "rebuilt from the stored answers of the GridControl API"
        elif one.model is Consents:
            custom = [c.settings for c in runtime.credentials if c.settings.sma_flow == "custom"]
            books = [book for book in map(ConsentBook.of, custom) if book.read_owners()]
            for book in books:
                store_consents(runtime.lake, book)
            if books:
                outcome.healed[one] = "rebuilt from the consents that are stored in this home"
            else:
                outcome.gone[one] = "the states of consents before today are lost"


def list_days_to_make(
    lost: Iterable[LostPart], outcome: RepairOutcome, answered: set[dt.date]
) -> set[dt.date]:
    """The days of which a table is to be rebuilt: from answers that are there, all of them."""
    days: set[dt.date] = set()
    for one in lost:
        day = one.part.get("local_date")
        if not isinstance(day, dt.date) or one in {*outcome.copied, *outcome.gone, *outcome.waiting}:
            continue
        target = _BY_TABLE.get(str(one.part.get("source", "")).partition("-")[0], one.model)
        if target in OF_DAYS or (target in RAW and target not in LISTS_ASKED):
            days.add(day)
    return days & answered


def make_vendor_tables(runtime: RunContext, lost: Iterable[LostPart]) -> None:
    """Compare with SMA's own energies again, where a comparison or its answers were lost."""
    models = {one.model for one in lost}
    if models & {Reconciliation, RawEnergyMonths}:
        write_reconciliation(runtime)
    if models & {ReconciliationYearly, RawEnergyYears}:
        write_reconciliation_yearly(runtime)


def judge_repair(
    runtime: RunContext, outcome: RepairOutcome, lost: Iterable[LostPart], answered: Collection[dt.date]
) -> None:
    """Say of each lost part without an outcome whether its rows are back. `answered`: the days with stored answers."""
    for one in [one for one in lost if one not in outcome.known]:
        there = bool(runtime.lake.name_stored_files(one.model, one.part))
        if loss := _describe_loss(one, answered, there=there):
            outcome.gone[one] = loss
        elif one.model is BillingUnits and there:
            outcome.healed[one] = "counted again from the record of requests"
        else:
            outcome.healed[one] = "rebuilt" if there else "has no rows, like the tables that it is made from"


def _describe_loss(one: LostPart, answered: Collection[dt.date], *, there: bool) -> str | None:
    """What is lost for good with the part, if anything. `there` says that it has rows again."""
    if not (one.part or there) and storage(one.model).partition:
        return "lost, and nothing tells of which days or months it had rows"
    if one.model in _LOST_RECORDS:
        return _LOST_RECORDS[one.model]
    if one.model in RECORDS:
        return "the list of changes of that day is lost; the figures are complete"
    if one.model is EnergyMonthly and there:
        return "rebuilt from its days; if the month was closed, close it again with 'sunledger close'"
    if one.model in OF_DAYS and not there and one.part.get("local_date") not in answered:
        return "lost, because neither its answers nor a published copy exist"
    return None


def keep_lost_requests(settings: Settings, outcome: RepairOutcome, lost: Iterable[LostPart]) -> None:
    """Have every later bill say that requests are lost, of which it can't know. Raises SunledgerError."""
    days = [
        one.part["asked_date"]
        for one in lost
        if one.model is ApiRequests and one.part and one not in outcome.copied
    ]
    add_lost_days(settings.home, [cast("dt.date", day) for day in days])


def find_lost_tables(
    lake: Lake, copy: PublishedCopy | None, missing: Collection[type[Table]]
) -> list[LostPart]:
    """The parts of tables whose folder is gone, by what other tables and the published file tell of them.

    Of the tables in `missing` nothing is left in the lake: each of them has a part here, if only an unknown one.
    """
    # A handle from before the repair would go on where the old log was.
    lake = Lake(lake.root, lake.scratch)
    found: list[LostPart] = []
    for model in TABLES:
        if lake.take_snapshot(model).version >= 0:
            continue
        if copy is not None and copy.read_version(model) >= 0:
            found += [LostPart(model, folder) for folder in copy.list_folders(model)]
        elif model in _MADE_OF and copy is not None and copy.versions.get(storage(model).table, -1) >= 0:
            days = {part["local_date"] for raw in _MADE_OF[model] for part in lake.list_parts(raw)}
            found += [LostPart(model, f"local_date={day}") for day in sorted(days)]
        elif model in _MADE_INTO and lake.list_parts(_MADE_INTO[model][0]):
            days = {part["local_date"] for part in lake.list_parts(_MADE_INTO[model][1])}
            found += [LostPart(model, f"local_date={day}") for day in sorted(days)]
        elif model in LISTS_ASKED and any(lake.take_snapshot(made).files for made in LISTS):
            found.append(LostPart(model, f"local_date={dt.datetime.now(dt.UTC).date()}"))
        if model in missing and not any(one.model is model for one in found):
            found += [LostPart(model, folder) for folder in _guess_folders(lake, copy, model)]
    return found


def _guess_folders(lake: Lake, copy: PublishedCopy | None, model: type[Table]) -> list[str]:
    """The parts that a table must have had, by the tables beside it; one without a name where nothing tells."""
    folders: list[str] = []
    if model in LISTS_ASKED:
        folders = [f"local_date={dt.datetime.now(dt.UTC).date()}"]
    elif model is ApiRequests:
        answers = [lake.scan(raw).select(pl.col("fetched_at").dt.date()).unique() for raw in RAW]
        found = pl.concat(answers).unique().sort("fetched_at").collect()
        folders = [f"asked_date={day}" for day in found["fetched_at"]]
    elif storage(model).partition == ("local_date",):
        folders = [f"local_date={part['local_date']}" for part in lake.list_parts(EnergyDaily)]
        if not folders and copy is not None and copy.read_version(EnergyDaily) >= 0:
            folders = copy.list_folders(EnergyDaily)
    return folders or [""]


def put_back_days(
    runtime: RunContext,
    copy: PublishedCopy | None,
    outcome: RepairOutcome,
    lost: Iterable[LostPart],
    answered: Collection[dt.date],
) -> None:
    """Put tables of days back from the published file where their answers are gone, so that they can't be made."""
    for one in lost:
        day = one.part.get("local_date")
        if copy is None or one.model not in OF_DAYS or day in answered or copy.read_version(one.model) < 0:
            continue
        rows = copy.read_rows(one.model, one.part)
        if rows.height:
            runtime.lake.replace(one.model, one.part, [rows])
            outcome.healed[one] = f"restored from the published file of {copy.published_at}"
