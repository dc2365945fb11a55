"""How complete a run's days are: the sentence, and a line for each plant and reason."""

import datetime as dt

import polars as pl

from pipeline.ops.completeness import summarize


def plant_days(*rows: tuple[str, int, str]) -> pl.DataFrame:
    """Rows of plant, day of October 2026 and reason."""
    return pl.DataFrame(
        [(plant, f"Roof {plant}", dt.date(2026, 10, day), reason) for plant, day, reason in rows],
        schema=["plant_id", "name", "local_date", "reason"],
        orient="row",
    )


def test_each_reason_is_counted_in_plants_and_silent_ones_come_first() -> None:
    found = summarize(
        plant_days(
            ("1", 1, "complete"),
            ("1", 2, "partial"),
            ("2", 1, "missing"),
            ("2", 2, "missing"),
            ("3", 1, "missing"),
            ("3", 2, "provisional"),
            ("4", 1, "request_failed"),
            ("4", 2, "not_fetched"),
        )
    )
    assert found.describe() == (
        "1 of 8 plant-days complete; 1 may still change; 2 plants silent, 1 plant with failed requests, "
        "1 plant not fetched, 1 plant with gaps: look at v_days_to_check and fetch the days again with "
        "'sunledger backfill'."
    )
    assert not found.is_whole
    assert found.list_lines(2) == [
        "plant 2 (Roof 2): silent on 2 days, 2026-10-01 to 2026-10-02",
        "plant 3 (Roof 3): silent on 1 day, 2026-10-01",
    ]
    assert found.list_lines(99)[-1] == "plant 1 (Roof 1): with gaps on 1 day, 2026-10-02"


def test_what_may_still_change_is_not_missing() -> None:
    found = summarize(plant_days(("1", 1, "complete"), ("1", 2, "provisional")))
    assert found.is_whole
    assert found.describe() == "1 of 2 plant-days complete; 1 may still change."
    assert summarize(plant_days(("1", 1, "complete"))).describe() == "1 of 1 plant-day complete."
