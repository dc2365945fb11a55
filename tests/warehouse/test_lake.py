"""The lake replaces a part whole or not at all, and commits nothing for equal rows."""

import datetime as dt
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandera.errors
import polars as pl
import pyarrow.parquet as pq
import pytest

from schemas import TABLES, MeasurementSets, Quarantine, RawPv, Table, polars_schema
from schemas.core import PvIntervals
from tests.warehouse.pv_rows import DAY, PART, pv
from warehouse.frames import BadFrameError, _fits_surely, _read_contract, sort, validate
from warehouse.lake import EmptyPartError, Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), tmp_path / "scratch")


def stored(lake: Lake) -> pl.DataFrame:
    return lake.scan(PvIntervals).collect()


def test_a_part_is_stored_and_read_back_in_order(lake: Lake) -> None:
    frame = pv()
    written = lake.replace(PvIntervals, PART, [frame.reverse()])
    assert (written.rows, written.changed) == (6, True)
    assert stored(lake).equals(frame)
    assert pl.concat(lake.read_batches(PvIntervals, PART)).equals(frame)
    assert lake.list_parts(PvIntervals) == [{"local_date": "2021-10-05"}]


def test_equal_rows_commit_nothing(lake: Lake) -> None:
    first = lake.replace(PvIntervals, PART, [pv()])
    again = lake.replace(PvIntervals, PART, [pv(plants="a"), pv(plants="b")])
    assert not again.changed
    assert again.version == first.version


def test_a_changed_part_replaces_itself_alone(lake: Lake) -> None:
    other = DAY + dt.timedelta(days=1)
    lake.replace(PvIntervals, PART, [pv()])
    lake.replace(PvIntervals, {"local_date": other}, [pv(day=other)])
    files = lake.take_snapshot(PvIntervals, {"local_date": other}).files
    assert lake.replace(PvIntervals, PART, [pv(watts=1.0)]).changed
    assert lake.take_snapshot(PvIntervals, {"local_date": other}).files == files
    assert stored(lake).filter(pl.col("local_date") == DAY).equals(pv(watts=1.0))


def test_plants_in_scope_are_replaced_and_the_others_stay(lake: Lake) -> None:
    lake.replace(PvIntervals, PART, [pv(plants="abcd")])
    chunks = [pv(plants="b", watts=5.0), pv(plants="d", watts=6.0)]
    assert lake.replace(PvIntervals, PART, chunks, plants={"b", "d"}).changed
    expected = pl.concat(
        [pv(plants="a"), pv(plants="b", watts=5.0), pv(plants="c"), pv(plants="d", watts=6.0)]
    )
    assert stored(lake).equals(expected)
    assert not lake.replace(PvIntervals, PART, chunks, plants={"b", "d"}).changed


def test_a_plant_in_scope_without_rows_loses_its_rows_only_if_asked(lake: Lake) -> None:
    lake.replace(PvIntervals, PART, [pv(plants="ab")])
    with pytest.raises(EmptyPartError, match="3 rows are stored"):
        lake.replace(PvIntervals, PART, [], plants={"b"})
    assert lake.replace(PvIntervals, PART, [], plants={"b"}, empty=True).changed
    assert stored(lake).equals(pv(plants="a"))


def test_an_empty_frame_never_replaces_rows_unless_asked(lake: Lake) -> None:
    lake.replace(PvIntervals, PART, [pv()])
    with pytest.raises(EmptyPartError, match=r"pv_intervals 2021-10-05.*6 rows are stored"):
        lake.replace(PvIntervals, PART, [pv().clear()])
    assert stored(lake).equals(pv())
    lake.replace(PvIntervals, PART, [], empty=True)
    assert stored(lake).is_empty()


BAD_FRAMES = {
    "wrong dtype": (
        pv().with_columns(pl.col("pv_generation_w").cast(pl.Float32)),
        "pv_generation_w.*Float32",
    ),
    "negative energy": (
        pv().with_columns(pv_generation_kwh=pl.lit(-0.001)),
        r"pv_generation_kwh.*greater_than_or_equal_to\(0\).*-0.001",
    ),
    "not a number": (pv(watts=float("nan")), "pv_generation_w.*NaN"),
    "one value that is not a number": (
        pl.concat([pv(plants="a"), pv(plants="b", rows=1, watts=float("nan"))]),
        "pv_generation_w.*in 1 of 4 rows.*NaN",
    ),
    "too large": (
        pv(watts=1e13),
        r"pv_generation_w.*less_than_or_equal_to\(1000000000000.0\).*in 6 of 6 rows",
    ),
    "missing column": (pv().drop("flagged"), "flagged"),
    "unknown column": (pv().with_columns(extra=1), "extra"),
    "null where none may be": (pv().with_columns(flagged=pl.lit(None, pl.Boolean)), "flagged.*not_nullable"),
    "duplicate key": (pl.concat([pv(), pv(plants="b", rows=1)]), r"1 rows repeat the key.*'b', '1'"),
    "another day": (pv(day=DAY + dt.timedelta(days=1)), "6 rows belong to another part.*2021, 10, 6"),
    "one row of another day": (
        pl.concat([pv(plants="a"), pv(plants="b", rows=1, day=DAY + dt.timedelta(days=1))]),
        "1 rows belong to another part.*2021, 10, 6",
    ),
    "unknown word": (pv().with_columns(interval_basis=pl.lit("guess")), "interval_basis.*guess"),
}


@pytest.mark.parametrize(("frame", "says"), BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
@pytest.mark.parametrize("good_before", [0, 1])
def test_a_bad_frame_leaves_the_last_good_part(
    lake: Lake, frame: pl.DataFrame, says: str, good_before: int
) -> None:
    lake.replace(PvIntervals, PART, [pv(watts=7.0)])
    before = lake.take_snapshot(PvIntervals)
    chunks = [pv(plants="A")] * good_before + [frame]
    with pytest.raises(BadFrameError, match=f"pv_intervals 2021-10-05.*{says}") as caught:
        lake.replace(PvIntervals, PART, chunks)
    assert "Nothing was written" in str(caught.value)
    assert lake.take_snapshot(PvIntervals) == before
    assert stored(lake).equals(pv(watts=7.0))


@pytest.mark.parametrize("model", TABLES)
def test_the_quick_look_knows_every_rule_of_every_model(model: type[Table]) -> None:
    assert _read_contract(model) is not None


FRAMES = {name: frame for name, (frame, _) in BAD_FRAMES.items()} | {
    "good": pv(),
    "values at their bound, whose sum is beyond it": pv(watts=1e12),
    "values with nulls": pl.concat(
        [pv(plants="a"), pv(plants="b").with_columns(pv_generation_w=pl.lit(None))], how="vertical_relaxed"
    ),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_the_quick_look_agrees_with_pandera(frame: pl.DataFrame) -> None:
    try:
        PvIntervals.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors:
        assert not _fits_surely(PvIntervals, frame)
    else:
        assert _fits_surely(PvIntervals, frame)


def test_a_frame_without_rows_costs_no_query(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("select", "filter"):
        monkeypatch.setattr(pl.DataFrame, name, lambda *_, **__: pytest.fail("polars was asked."))
    empty = pl.DataFrame(schema=polars_schema(PvIntervals))
    validate(PvIntervals, empty, PART)
    assert sort(PvIntervals, empty, PART) is empty


def test_a_key_that_returns_in_a_later_chunk_is_refused(lake: Lake) -> None:
    with pytest.raises(BadFrameError, match="repeat the key"):
        lake.replace(PvIntervals, PART, [pv(plants="a"), pv(plants="a", rows=3).tail(1)])


def test_a_fault_while_rows_arrive_leaves_the_last_good_part(lake: Lake) -> None:
    def torn() -> Iterator[pl.DataFrame]:
        yield pv(plants="a")
        raise ConnectionError("the line went dead")

    lake.replace(PvIntervals, PART, [pv()])
    with pytest.raises(ConnectionError):
        lake.replace(PvIntervals, PART, torn())
    assert stored(lake).equals(pv())


def test_volatile_columns_are_not_a_change(lake: Lake) -> None:
    def answer(elapsed: float, body: bytes) -> pl.DataFrame:
        at = dt.datetime(2021, 10, 6, tzinfo=dt.UTC)
        row = (
            "a",
            "1",
            "EnergyAndPowerPv",
            "2021-10-05",
            DAY,
            "/v1/x",
            "plant_local",
            "Europe/Berlin",
            200,
            at,
            elapsed,
            1,
            True,
            False,
            body,
        )
        return pl.DataFrame([row], schema=polars_schema(RawPv), orient="row")

    lake.replace(RawPv, PART, [answer(1.0, b"{}")])
    assert not lake.replace(RawPv, PART, [answer(99.0, b"{}")]).changed
    assert lake.replace(RawPv, PART, [answer(99.0, b"[]")]).changed


def note(source: str) -> pl.DataFrame:
    row = (DAY, source, "it's", None, "row", False, "duplicate", "x", 1, None, None, None)
    return pl.DataFrame([row], schema=polars_schema(Quarantine), orient="row")


def test_a_part_of_two_columns_is_replaced_alone(lake: Lake) -> None:
    for source in ("logs", "pv_intervals"):
        lake.replace(Quarantine, {"local_date": DAY, "source": source}, [note(source)])
    lake.replace(Quarantine, {"local_date": DAY, "source": "logs"}, [], empty=True)
    assert lake.scan(Quarantine).collect().equals(note("pv_intervals"))


def test_a_part_must_be_a_plain_word(lake: Lake) -> None:
    with pytest.raises(ValueError, match="cannot name a part"):
        lake.replace(Quarantine, {"local_date": DAY, "source": "../x"}, [note("../x")])


def test_a_table_without_parts_is_replaced_whole(lake: Lake) -> None:
    def sets(*names: str) -> pl.DataFrame:
        rows = [("1", None, name) for name in names]
        return pl.DataFrame(rows, schema=polars_schema(MeasurementSets), orient="row")

    lake.replace(MeasurementSets, {}, [sets("EnergyBalance", "PowerAc")])
    assert not lake.replace(MeasurementSets, {}, [sets("PowerAc", "EnergyBalance")]).changed
    lake.replace(MeasurementSets, {}, [sets("EnergyBalance")])
    assert lake.scan(MeasurementSets).collect().equals(sets("EnergyBalance"))


def test_racing_writers_leave_one_copy_of_each_day(lake: Lake) -> None:
    """Eight writers, first writes included: the same day twice and different days at once."""
    days = [DAY + dt.timedelta(days=i % 4) for i in range(8)]

    def write(i: int) -> None:
        lake.replace(PvIntervals, {"local_date": days[i]}, [pv(day=days[i], watts=float(i))])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert len(lake.take_snapshot(PvIntervals).files) == 4
    kept = stored(lake).group_by("local_date").agg(pl.len(), pl.col("pv_generation_w").n_unique())
    assert kept.select("len", "pv_generation_w").unique().rows() == [(6, 1)]


def test_racing_first_writers_all_get_the_table(tmp_path: Path) -> None:
    """delta-rs refuses some who create a table at the same moment, also where they would take an existing one."""
    for turn in range(10):
        lakes = [Lake(str(tmp_path / f"lake{turn}"), tmp_path / f"scratch{i}") for i in range(8)]
        begin = threading.Barrier(len(lakes))

        def create(lake: Lake, begin: threading.Barrier = begin) -> list[str]:
            begin.wait()
            return lake.open_or_create(PvIntervals).delta.metadata().partition_columns

        with ThreadPoolExecutor(len(lakes)) as pool:
            assert list(pool.map(create, lakes)) == [["local_date"]] * len(lakes)


def test_row_groups_follow_the_model_and_the_order_of_the_key(lake: Lake) -> None:
    chunks = [pv(plants=chr(97 + i), rows=288) for i in range(26)]
    lake.replace(PvIntervals, PART, [*chunks, *[pv(plants=chr(300 + i), rows=288) for i in range(100)]])
    (file,) = lake.take_snapshot(PvIntervals).files
    meta = pq.ParquetFile(file).metadata
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [30_000, 6_288]
    assert stored(lake).select(pl.col("plant_id").is_sorted()).item()


def test_statistics_of_row_groups_are_kept_of_keys_and_times_alone(lake: Lake) -> None:
    lake.replace(PvIntervals, PART, [pv()])
    group = pq.read_metadata(lake.take_snapshot(PvIntervals).files[0]).row_group(0)
    having = {
        column.path_in_schema for column in map(group.column, range(group.num_columns)) if column.is_stats_set
    }
    assert {"plant_id", "device_id", "interval_end", "flagged"} <= having
    assert not {name for name in having if name.endswith(("_w", "_kwh"))}


def test_a_table_that_was_never_written_is_empty(lake: Lake) -> None:
    assert stored(lake).schema == polars_schema(PvIntervals)
    assert list(lake.read_batches(PvIntervals, PART)) == []
    assert lake.take_snapshot(PvIntervals).files == ()
    assert lake.list_parts(PvIntervals) == []


@pytest.mark.parametrize("name", ["my data", "Jörg", "a#b?c", 'quo"te', "{x}", "it's"])
def test_the_lake_may_be_in_a_folder_with_an_odd_name(tmp_path: Path, name: str) -> None:
    lake = Lake(str(tmp_path / name / "lake"), tmp_path / "scratch")
    lake.replace(PvIntervals, PART, [pv()])
    assert not lake.replace(PvIntervals, PART, [pv()]).changed
    assert stored(lake).equals(pv())
    assert Path(lake.take_snapshot(PvIntervals).files[0]).is_file()


def test_a_change_is_made_again_only_where_another_run_replaced_the_same_part(lake: Lake) -> None:
    other = {"local_date": DAY + dt.timedelta(days=1)}
    lake.replace(PvIntervals, PART, [pv(watts=1.0)])
    seen = []
    with lake.open_replacement(PvIntervals, PART) as new:
        new.add(pv(watts=3.0))
        for change in new.find_changes({"from": "a test"}):
            if not seen:
                lake.replace(PvIntervals, PART, [pv(watts=2.0)])
                lake.replace(PvIntervals, other, [pv(day=other["local_date"])])
            elif len(seen) == 1:
                lake.replace(PvIntervals, other, [pv(day=other["local_date"], watts=5.0)])
            seen.append(pl.concat(change.read_before())["pv_generation_w"].unique().item())
            assert pl.concat(change.read_after())["pv_generation_w"].unique().to_list() == [3.0]
            new.commit_change(change)
    assert seen == [1.0, 2.0]
    assert new.written.changed
    assert lake.read_facts(PvIntervals, PART) == {"from": "a test"}
    assert pl.concat(lake.read_batches(PvIntervals, PART)).equals(pv(watts=3.0))


def test_equal_rows_make_no_change(lake: Lake) -> None:
    lake.replace(PvIntervals, PART, [pv()])
    with lake.open_replacement(PvIntervals, PART) as new:
        new.add(pv())
        assert list(new.find_changes()) == []
    assert not new.written.changed
