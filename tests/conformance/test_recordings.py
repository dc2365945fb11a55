"""Real recordings through both time bases: the same energies, and those of the inverters' own meters."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from tests.conformance import check
from tests.transform import oracle

FOLDER = Path(__file__).parents[2] / "sandbox" / "recordings"


@dataclass(frozen=True)
class Recording:
    """A file, where it was recorded, and days of it with what the meter counted in them."""

    file: str
    zone: str
    first: dt.date
    days: int
    kwh: float

    @property
    def rows(self) -> pl.DataFrame:
        """interval_end_utc, mean_power_w and energy_counter_kwh of the whole file."""
        return pl.read_parquet(FOLDER / self.file)


MELBOURNE = "sb4000tl_melbourne.parquet"
RECORDINGS = (
    Recording(MELBOURNE, "Australia/Brisbane", dt.date(2019, 10, 1), 31, 533.050),
    Recording(MELBOURNE, "Australia/Brisbane", dt.date(2021, 10, 1), 31, 503.986),
    Recording("stp6000_netherlands.parquet", "Europe/Amsterdam", dt.date(2025, 7, 10), 4, 118.899),
)


def days_of(recording: Recording, basis: str) -> Iterator[check.Day]:
    """Each day as SMA would send it under the time basis: the plant's day, or every UTC day that it touches."""
    clock = ZoneInfo("UTC" if basis == "utc" else recording.zone)
    end = pl.col("interval_end_utc")
    reported = recording.rows.select(end, "mean_power_w").drop_nulls()
    for number in range(recording.days):
        day = recording.first + dt.timedelta(days=number)
        first, last = oracle.bounds(day, ZoneInfo(recording.zone))
        sent = [
            {"time": f"{moment.astimezone(clock):%Y-%m-%dT%H:%M:%S}", "pvGeneration": watts}
            for moment, watts in reported.filter((end > first) & (end <= last)).iter_rows()
        ]
        pages = sorted({row["time"][:10] for row in sent}) if basis == "utc" else [""]
        yield {
            "id": str(day),
            "local_date": str(day),
            "plant": {"timezone": recording.zone, "time_basis": basis, "merged_hour": "gap", "rated_w": 6000},
            "answers": [
                {"resolution": "FiveMinutes", "set": [row for row in sent if row["time"].startswith(page)]}
                for page in pages
            ],
            "expected": {"day_start": first.isoformat(), "day_end": last.isoformat()},
        }


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: str(recording.first))
def test_both_time_bases_give_the_energy_of_the_meter(recording: Recording) -> None:
    local, utc = (check.interval_rows(list(days_of(recording, basis))) for basis in ("plant_local", "utc"))
    assert local.equals(utc)
    assert local["local_date"].n_unique() == recording.days
    energy = local["pv_generation_kwh"].sum()
    assert energy == pytest.approx(recording.kwh, rel=1e-6)
