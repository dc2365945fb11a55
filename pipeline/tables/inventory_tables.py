"""Plants, devices and measurement sets from the newest answers in the raw lake; calls no API."""

import datetime as dt
from collections.abc import Iterable

import polars as pl

from pipeline.common.credentials import find_flow
from pipeline.common.errors import ConsentMissing
from pipeline.extract.consent_refresh import read_owners
from pipeline.run.context import RunContext
from pipeline.run.fleet_lists.plant_lists import read_plant_lists
from pipeline.run.fleet_lists.stored_lists import TOLERANCE, read_newest_answers
from pipeline.run.fleet_lists.unlisted_devices import select_unlisted
from pipeline.run.notices import MissingItem, Notices
from pipeline.run.plants import add_exclusion, find_chosen_plants
from pipeline.run.step import quarantine
from pipeline.run.step_result import StepResult, build_result
from pipeline.run.supplied_files.fleet_membership import read_fleet
from pipeline.run.supplied_files.plant_attributes import match_plants
from pipeline.run.table_step import Stage, writes
from pipeline.sma.consents import access_problems
from pipeline.sma.requests import find_plant
from pipeline.transform.batch_account import build_quarantine
from pipeline.transform.lists import inventory, list_faults, remembered_lists
from schemas import (
    Consents,
    Devices,
    MeasurementSets,
    PlantAttributes,
    Plants,
    Quarantine,
    RawAnswers,
    RawDevices,
    RawMeasurementSets,
    RawPlants,
    SubPlants,
    Table,
    storage,
)


@writes(Plants, reads=(RawPlants, Consents), stage=Stage.PLANTS, beside=(Quarantine,))
def write_plants(runtime: RunContext, of: dt.date | None = None) -> StepResult:
    """Plants of the newest list, or of a day's list, with their former ids, and plants that were listed before.

    Raises ConsentMissing when SMA lists none.
    """
    today, answers = read_plant_lists(runtime.lake, runtime.credential_names, runtime.find_today(), of)
    listed, aside = _build_listed(answers)
    stored = _read_known(runtime, Plants, today)
    owners, flow = read_owners(runtime.settings), find_flow(runtime.settings)
    if not listed.height and not aside.height:
        raise ConsentMissing(access_problems.explain_empty_list(flow, owners), path="/v1/plants")
    frame = remembered_lists.remember_plants(
        stored, listed.update(_read_moves(runtime, today), on="plant_id")
    )
    frame = add_exclusion(runtime, frame)
    left_out = read_fleet(runtime.settings).find_excluded(stored)
    gone = _read_last_list(stored).join(left_out, on="plant_id", how="anti")
    gone = gone.join(listed, on="plant_id", how="anti")
    gone = gone.filter(~pl.col("plant_id").is_in(frame["migrated_from"].drop_nulls().to_list()))
    chosen = find_chosen_plants(runtime)
    missing = [
        MissingItem(str(today), "plants", plant, access_problems.explain_gone_plant(flow, owners))
        for plant in gone["plant_id"]
        if not chosen or plant in chosen
    ]
    missing += [
        MissingItem(str(today), "plants", plant, f"unknown time zone {zone!r}")
        for plant, zone in aside.select("plant_id", "detail").rows()
    ]
    odd = _quarantine_odd(Plants, today, answers)
    quarantine(runtime, Plants, today, pl.concat([build_quarantine(aside, "row", Plants, today), odd]))
    unknown = list_faults.find_unknown_fields(answers, "plants", list_faults.PLANT_FIELDS)
    written = runtime.lake.replace(Plants, {}, [frame])
    gone_now = written.rows - listed.height
    return build_result(
        written,
        _build_notices(RawPlants, unknown, odd, missing),
        listed=listed.height,
        no_longer_listed=gone_now,
        unknown_fields=unknown,
        odd_facts=odd.height,
    )


def _build_listed(answers: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """As `inventory.build_plants`, of lists of several days: one of several credentials may have given none today.

    A plant is as the newest list has it, and counts as listed on the newest day: what asks whether a plant is still
    listed compares days, and the list that a credential gave last holds until it gives another one.
    """
    days = answers["local_date"].unique().sort(descending=True).to_list()
    built = [inventory.build_plants(answers.filter(pl.col("local_date") == day), days[0]) for day in days]
    if len(built) == 1:
        return built[0]
    listed, aside = (pl.concat(frames) for frames in zip(*built, strict=True))
    only = (frame.unique("plant_id", keep="first", maintain_order=True) for frame in (listed, aside))
    return next(only), next(only)


def _read_moves(runtime: RunContext, day: dt.date) -> pl.DataFrame:
    """plant_id and migrated_from of the plants to which SMA redirected requests for an old id on the day.

    Of several old ids of one plant it is the first by its text.
    """
    columns = ["plant_id", "target"]
    asked = pl.concat(runtime.lake.read_batches(RawPlants, {"local_date": day}, columns=columns))
    found = [(find_plant(target), old) for old, target in asked.filter(pl.col("plant_id") != "").iter_rows()]
    moves = pl.DataFrame(found, {"plant_id": pl.String, "migrated_from": pl.String}, orient="row")
    return moves.sort("migrated_from").unique("plant_id", keep="first", maintain_order=True)


def _read_known(runtime: RunContext, model: type[Table], listed_on: dt.date) -> pl.DataFrame:
    """The table, in which nothing was seen in the future; `listed_on` is the day of the list that is added to it."""
    return remembered_lists.limit_days_seen(
        runtime.lake.read_whole(model), runtime.find_today() + TOLERANCE, listed_on
    )


def _read_last_list(stored: pl.DataFrame) -> pl.DataFrame:
    """The plants of the last list, which are those that were last seen on its day."""
    return stored.filter(pl.col("last_seen") == pl.col("last_seen").max())


@writes(SubPlants, reads=(RawPlants,), stage=Stage.PLANTS)
def write_sub_plants(runtime: RunContext, of: dt.date | None = None) -> StepResult:
    """Sections of plants of the newest list, or of a day's list, and sections that were listed before."""
    today, answers = read_plant_lists(runtime.lake, runtime.credential_names, runtime.find_today(), of)
    stored = _read_known(runtime, SubPlants, today)
    found = inventory.build_sub_plants(answers, today)
    frame = remembered_lists.remember(stored, found, storage(SubPlants).key)
    return build_result(runtime.lake.replace(SubPlants, {}, [frame], empty=True))


@writes(PlantAttributes, reads=(Plants,), stage=Stage.PLANTS)
def write_plant_attributes(runtime: RunContext) -> StepResult:
    """The user's own facts about the plants, from the file of the settings; none where no file is set.

    Raises ConfigurationError for a file that can't be used.
    """
    rows = match_plants(runtime.settings, runtime.lake.read_whole(Plants))
    return build_result(runtime.lake.replace(PlantAttributes, {}, [rows], empty=True))


@writes(Devices, reads=(RawDevices,), stage=Stage.DEVICES, beside=(Quarantine,))
def write_devices(runtime: RunContext, of: dt.date | None = None) -> StepResult:
    """Devices of each plant's newest list, or of a day's lists, and devices that were listed before."""
    today, answers = read_newest_answers(
        runtime.lake, RawDevices, runtime.settings.lists_cycle_days, runtime.find_today(), of
    )
    stored = _read_known(runtime, Devices, today)
    listed = inventory.date_by_answers(inventory.build_devices(answers, today), answers)
    frame = remembered_lists.remember_devices(stored, listed)
    unknown = list_faults.find_unknown_fields(answers, "devices", list_faults.DEVICE_FIELDS)
    odd = _quarantine_odd(Devices, today, answers)
    quarantine(runtime, Devices, today, odd)
    written = runtime.lake.replace(Devices, {}, [frame])
    notices = _build_notices(RawDevices, unknown, odd, _list_gone_devices(stored, frame, today))
    return build_result(written, notices, unknown_fields=unknown, odd_facts=odd.height)


def _list_gone_devices(before: pl.DataFrame, after: pl.DataFrame, today: dt.date) -> list[MissingItem]:
    """The devices that the newest list of their plant lacks since now, and was silent about; rows of `devices`."""
    was_active = after.filter(pl.col("is_active").fill_null(value=True)).select("plant_id", "device_id")
    gone = select_unlisted(after).join(was_active, on=["plant_id", "device_id"], how="semi")
    news = gone.join(select_unlisted(before), on=["plant_id", "device_id"], how="anti")
    return [
        MissingItem(
            str(today),
            "devices",
            plant,
            f"SMA no longer lists device {device}, and has not said that it was deactivated: what is stored of it "
            "stays, and once SMA does not find it any more, it is not asked for. If it was not removed, check the "
            "plant in the portal",
        )
        for plant, device in news.select("plant_id", "device_id").sort("plant_id", "device_id").iter_rows()
    ]


def _quarantine_odd(model: type[Table], today: dt.date, answers: pl.DataFrame) -> pl.DataFrame:
    """Rows of quarantine for the facts and entries of these lists that can't be read."""
    envelopes: dict[type[Table], str] = {Plants: "plants", Devices: "devices", MeasurementSets: "sets"}
    found = [list_faults.find_odd_entries(answers, envelopes[model])]
    if model is not MeasurementSets:
        found.append(list_faults.find_odd_facts(answers, of_devices=model is Devices))
    odd = pl.concat(found, how="diagonal")
    return pl.concat(
        build_quarantine(odd.filter(kept=kept).drop("kept"), "value", model, today, kept=kept)
        for kept in (False, True)
    )


def _build_notices(
    model: type[RawAnswers], unknown: list[str], odd: pl.DataFrame, missing: Iterable[MissingItem] = ()
) -> Notices:
    """Notices of fields and facts that the table can't hold, and of missing data."""
    return Notices.of(missing, unknown_fields={storage(model).table: unknown}, odd_facts=odd.height)


@writes(MeasurementSets, reads=(RawMeasurementSets,), stage=Stage.DEVICES, beside=(Quarantine,))
def write_measurement_sets(runtime: RunContext, of: dt.date | None = None) -> StepResult:
    """Sets by everybody's newest answer, or those of a day.

    Who was not asked or not answered keeps what was known; so does who has no set any more, because an owner who
    withdrew the consent looks just like that. The latter is reported, unless nothing was known.
    """
    today, answers = read_newest_answers(
        runtime.lake, RawMeasurementSets, runtime.settings.lists_cycle_days, runtime.find_today(), of
    )
    stored = runtime.lake.read_whole(MeasurementSets)
    found = inventory.build_measurement_sets(answers)
    owner = ["plant_id", "device_id"]
    kept = stored.join(found, on=owner, how="anti", nulls_equal=True)
    asked = answers.select("plant_id", pl.col("device_id").replace("", None)).unique()
    lost = kept.join(asked, on=owner, how="semi", nulls_equal=True).select(owner).unique().sort(owner)
    odd = _quarantine_odd(MeasurementSets, today, answers)
    quarantine(runtime, MeasurementSets, today, odd)
    missing = []
    for plant, device in lost.rows():
        what = f"device {device}" if device else "the plant"
        reason = (
            f"SMA no longer lists any measurement set of {what}; the sets listed before are still fetched"
        )
        missing.append(MissingItem(str(today), "measurement_sets", plant, reason))
    frame = pl.concat([found, kept]).sort(*storage(MeasurementSets).key)
    written = runtime.lake.replace(MeasurementSets, {}, [frame], empty=True)
    notices = Notices.of(missing, odd_facts=odd.height)
    return build_result(written, notices, without_sets_now=lost.height, odd_facts=odd.height)
