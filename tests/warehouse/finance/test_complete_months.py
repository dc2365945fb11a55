"""Which days a month has to have, for a pack to call it complete."""

import datetime as dt
from pathlib import Path

import pytest

from tests.warehouse.finance.packs import OCTOBER, Book, Connection
from warehouse.finance.pack import PackChoice, write_pack
from warehouse.month_queries.month_completeness import read_plant_days


@pytest.mark.long
def test_days_that_were_never_fetched_make_the_month_incomplete(changed: Connection, tmp_path: Path) -> None:
    changed.execute("DELETE FROM energy_daily WHERE plant_id = 'b'")
    changed.execute("DELETE FROM energy_daily WHERE local_date = '2021-10-02'")
    changed.execute("UPDATE _meta SET published_at = '2021-11-05 00:00:00+00'")
    (done,) = write_pack(changed, OCTOBER, tmp_path / "pack", PackChoice())
    book = Book(done.path)
    assert book.rows("Summary")[1]["A"][0].startswith(
        "The month is NOT COMPLETE: 1 of 31 plant-days are complete, 30 were not fetched, 0 have gaps"
    )
    row, letters = book.rows("Completeness")[1], book.columns("Completeness")
    shown = {heading: row[letter][0] for heading, letter in letters.items() if letter in row}
    assert shown["Days not fetched"] == "30"
    # Each day that is not there has as many hours as those that are there.
    assert float(shown["Expected time of the month (h)"]) == 31 * 24
    assert float(shown["Coverage of the month"]) == pytest.approx(1 / 31)
    assert shown["Status"] == "partial"
    energy, letters = book.rows("Energy")[1], book.columns("Energy")
    assert energy[letters["Status"]][0] == "partial"


def test_a_plant_that_moved_today_is_due_by_its_new_id_alone(changed: Connection) -> None:
    changed.execute("DELETE FROM energy_daily WHERE plant_id = 'b'")
    changed.execute("INSERT INTO measurement_sets VALUES ('b', NULL, 'EnergyBalance')")
    changed.execute("UPDATE _meta SET published_at = '2021-11-05 00:00:00+00'")
    days = {plant: read_plant_days(changed, OCTOBER, [plant]).height for plant in ("a", "b")}
    assert days == {"a": 31, "b": 31}
    changed.execute("UPDATE plants SET migrated_from = 'b' WHERE plant_id = 'a'")
    days = {plant: read_plant_days(changed, OCTOBER, [plant]).height for plant in ("a", "b")}
    assert days == {"a": 31, "b": 0}


def test_a_plant_that_left_the_list_amid_the_month_lacks_the_days_that_follow(changed: Connection) -> None:
    changed.execute("UPDATE plants SET last_seen = last_seen - 1 WHERE plant_id = 'b'")
    changed.execute("UPDATE _meta SET published_at = '2021-11-05 00:00:00+00'")
    reasons = read_plant_days(changed, OCTOBER, ["b"])["reason"].to_list()
    assert (len(reasons), reasons.count("not_fetched")) == (31, 29)
    # Of another month it has no day.
    changed.execute("UPDATE _meta SET published_at = '2021-12-05 00:00:00+00'")
    changed.execute(
        "INSERT INTO measurement_sets VALUES ('a', NULL, 'EnergyBalance'), ('b', NULL, 'EnergyBalance')"
    )
    assert read_plant_days(changed, dt.date(2021, 11, 1), ["b"]).is_empty()
    assert read_plant_days(changed, dt.date(2021, 11, 1), ["a"]).height == 30
