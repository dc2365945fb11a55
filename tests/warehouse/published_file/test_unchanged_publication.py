"""A publication that finds nothing new leaves the file as it is; whatever is new or in doubt renews it."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from schemas import ApiRequests
from tests.small_lake import FIRST, NOW, fill, flip_bit, put
from warehouse.lake import Lake
from warehouse.published_file.home_guard import FOLDER
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import PublishedFile, publish
from warehouse.verification.verify import verify_published


def _read_moment(target: Path) -> dt.datetime:
    with connect(target) as connection:
        ((moment,),) = connection.execute("SELECT published_at FROM _meta").fetchall()
    return moment  # type: ignore[no-any-return]


@pytest.mark.long
def test_only_what_is_new_renews_the_file(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"), tmp_path / "tmp")
    fill(lake)
    target, own = tmp_path / "sunledger.duckdb", tmp_path / "own"
    log, record = target.with_name("sunledger.duckdb.wal"), target.with_name(".sunledger.duckdb.published")
    marker = tmp_path / "lake" / FOLDER
    own.mkdir()
    (own / "prices.toml").write_text('[columns]\ncents = { type = "BIGINT" }\n')
    (own / "prices.csv").write_text("cents\n8\n")
    (own / "tariffs.csv").write_text("x\n8\n")

    def publish_at(moment: dt.datetime) -> PublishedFile:
        return publish(lake, target, now=moment, version="1", own_tables=own)

    first = publish_at(NOW)
    hour = dt.timedelta(hours=1)
    assert first.renewed
    assert [one.name for one in first.left_out] == ["own.tariffs"]
    # Links and files around it come back, without another file.
    assert [found.fault for found in verify_published(lake, target)] == [None]
    for name in marker.iterdir():
        name.unlink()
    (found,) = verify_published(lake, target)
    assert "which every view of detail reads first, is lost or damaged: run 'sunledger publish'" in str(
        found.fault
    )
    log.unlink()
    inode = target.stat().st_ino
    again = publish_at(NOW + hour)
    assert not again.renewed
    assert (again.tables, again.left_out, again.bytes) == (first.tables, first.left_out, first.bytes)
    assert (again.digest, again.had_log, target.stat().st_ino) == (first.digest, False, inode)
    assert _read_moment(target) == NOW
    assert log.is_symlink()
    assert list(marker.iterdir())

    moment = NOW
    news: dict[str, Callable[[], object]] = {
        "rows of another table": lambda: put(lake, ApiRequests, [{"asked_date": FIRST, "request_id": "1"}]),
        # Its newest version has the same rows.
        "a version": lambda: lake.replace(ApiRequests, {"asked_date": FIRST}, [], empty=True),
        "own tables": lambda: (own / "prices.csv").write_text("cents\n9\n"),
        "a bit of the file": lambda: flip_bit(target),
        "no record": record.unlink,
        "a log": lambda: log.unlink() or log.write_bytes(b"of another program"),
    }
    for name, happens in news.items():
        happens()
        moment += dt.timedelta(minutes=1)
        assert publish_at(moment).renewed, name
        assert _read_moment(target) == moment, name
        assert not publish_at(moment + hour).renewed, name
    with duckdb.connect(str(target), read_only=True) as connection:
        assert connection.execute("SELECT cents FROM own.prices").fetchall() == [(9,)]

    # Reports expect 2 October from 14:00 UTC of the next day on, by the moment in the file.
    noon = dt.datetime(2021, 10, 3, 13, 59, tzinfo=dt.UTC)
    assert not publish_at(noon).renewed
    assert publish_at(noon + dt.timedelta(minutes=1)).renewed
    assert _read_moment(target) == noon + dt.timedelta(minutes=1)
    # The clocks of the next year are in a file of the next year.
    assert publish_at(noon + dt.timedelta(days=366)).renewed
