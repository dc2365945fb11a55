"""Recordings: served as they are, with their gaps, and metered energy."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from sandbox.options import Options, Replay
from sandbox.series.replayed import RecordingError, read_recording
from sandbox.world import World
from tests.sandbox.served_sandbox import Serve, Served


def recording(
    path: Path, watts: list[float | None], meter: list[float] | None = None, step: int = 600
) -> Path:
    """Rows from 2024-03-01 00:00 UTC on, one a step."""
    start = datetime(2024, 3, 1, tzinfo=UTC)
    ends = [start + timedelta(seconds=step * (number + 1)) for number in range(len(watts))]
    columns: dict[str, list[datetime] | list[float] | list[float | None]] = {
        "interval_end_utc": ends,
        "mean_power_w": watts,
    }
    if meter is not None:
        columns["energy_counter_kwh"] = meter
    pl.DataFrame(columns).write_parquet(path)
    return path


def test_melbournes_october_is_the_meters_to_the_watt_hour(sandbox: Served) -> None:
    for month, kwh in (("2021-10", 503.986), ("2019-10", 533.050)):
        rows = sandbox.rows("900001", "Month", Date=month)
        assert len(rows) == 31
        assert sum(row["pvGeneration"] for row in rows) / 1000 == pytest.approx(kwh, abs=1e-6)
    exact = sandbox.truth("900001", "pvGeneration", "2021-10-01T00:00:00+10:00", "2021-11-01T00:00:00+10:00")
    assert exact == pytest.approx(503.986, abs=1e-6)


def test_watts_are_served_unchanged_at_plant_and_device(sandbox: Served) -> None:
    plant = sandbox.rows("900001", Date="2021-10-15")
    device = sandbox.device_rows("9000011", "EnergyAndPowerPv", Date="2021-10-15")
    assert [row["pvGeneration"] for row in plant] == [row["pvGeneration"] for row in device]
    assert set(plant[0]) == {"time", "pvGeneration", "totalGeneration"}
    assert set(device[0]) == {"time", "pvGeneration"}
    frame = pl.read_parquet(
        Path(__file__).parents[2] / "sandbox" / "recordings" / "sb4000tl_melbourne.parquet"
    )
    start = datetime(2021, 10, 14, 14, tzinfo=UTC)
    inside = frame.filter(
        (pl.col("interval_end_utc") > start) & (pl.col("interval_end_utc") <= start + timedelta(days=1))
    )
    assert [row["pvGeneration"] for row in plant] == inside["mean_power_w"].to_list()


def test_a_row_without_power_is_an_absent_row(sandbox: Served) -> None:
    rows = sandbox.rows("900001", Date="2021-10-31")
    assert len(rows) == 287
    assert rows[-1]["time"] == "2021-10-31T23:55:00"
    night = [row["time"] for row in sandbox.rows("900002", Date="2025-07-11") if "T02:" in row["time"]]
    assert night == []


def test_the_dutch_recording_keeps_its_zone(serve: Serve) -> None:
    it = serve(recordings=True, plants=0, now=datetime(2026, 1, 1, tzinfo=UTC))
    rows = it.rows("900002", Date="2025-07-11")
    assert all(row["time"].startswith("2025-07-1") for row in rows)
    assert "900002" in [plant["plantId"] for plant in it.get("/monitoring/v1/plants")["plants"]]


def test_energy_after_a_hole_carries_the_whole_hole(serve: Serve, tmp_path: Path) -> None:
    path = recording(tmp_path / "hole.parquet", [600.0, None, None, 1200.0], [10.1, 10.2, 10.3, 10.5])
    it = serve(plants=0, replays=(Replay(path, plant_id="77"),))
    assert [row["pvGeneration"] for row in it.rows("77", Date="2024-03-01")] == [600.0, 1200.0]
    energy = it.rows("77", Date="2024-03-01", ReturnEnergyValues="true")
    assert [row["pvGeneration"] for row in energy] == pytest.approx([100.0, 400.0])
    assert it.rows("77", "Month", Date="2024-03")[0]["pvGeneration"] == pytest.approx(500.0)


def test_without_a_meter_energy_is_power_times_interval(serve: Serve, tmp_path: Path) -> None:
    path = recording(tmp_path / "plain.parquet", [600.0, None, 1200.0], step=900)
    it = serve(plants=0, replays=(Replay(path, plant_id="77", timezone="Asia/Tokyo", rated_kw=3),))
    body = it.get("/monitoring/v1/plants/77/measurements/sets/EnergyBalance/Day", Date="2024-03-01")
    assert body["resolution"] == "FifteenMinutes"
    assert [row["time"] for row in body["set"]] == ["2024-03-01T09:15:00", "2024-03-01T09:45:00"]
    exact = it.truth("77", "pvGeneration", "2024-03-01T00:00:00Z", "2024-03-01T01:00:00Z")
    assert exact == pytest.approx((600 + 1200) / 4 / 1000)
    half = it.truth("77", "pvGeneration", "2024-03-01T00:00:00Z", "2024-03-01T00:07:30Z")
    assert half == pytest.approx(600 / 8 / 1000)


@pytest.mark.parametrize("meter", [[None] * 4, [None, None, 10.3, 10.4], [10.1, 10.2, None, None]])
def test_where_the_meter_says_nothing_energy_is_power_times_interval(
    serve: Serve, tmp_path: Path, meter: list[float | None]
) -> None:
    path = recording(tmp_path / "silent.parquet", [600.0] * 4, meter)
    it = serve(plants=0, replays=(Replay(path, plant_id="77"),))
    energy = it.rows("77", Date="2024-03-01", ReturnEnergyValues="true")
    assert [row["pvGeneration"] for row in energy] == pytest.approx([100.0] * 4)
    assert it.rows("77", "Month", Date="2024-03")[0]["pvGeneration"] == pytest.approx(400.0)
    assert it.truth("77", "pvGeneration", "2024-03-01T00:00:00Z", "2024-03-01T01:00:00Z") == pytest.approx(
        0.4
    )


def test_a_power_beyond_all_numbers_is_an_absent_row(serve: Serve, tmp_path: Path) -> None:
    path = recording(tmp_path / "odd.parquet", [600.0, float("inf"), float("nan"), 1200.0])
    it = serve(plants=0, replays=(Replay(path, plant_id="77"),))
    assert [row["pvGeneration"] for row in it.rows("77", Date="2024-03-01")] == [600.0, 1200.0]
    assert it.rows("77", "Month", Date="2024-03")[0]["pvGeneration"] == pytest.approx(300.0)


def test_options_of_a_replay_reach_the_plant(serve: Serve, tmp_path: Path) -> None:
    path = recording(tmp_path / "named.parquet", [1.0, 2.0])
    replay = Replay(path, "Europe/Oslo", 12.5, "My roof", "4711", 59.9, 10.7)
    plant = serve(plants=0, replays=(replay,)).get("/monitoring/v1/plants/4711")
    assert (plant["name"], plant["timezone"]) == ("My roof", "Europe/Oslo")
    assert plant["installation"]["acNominalPower"] == 12500.0
    assert plant["location"]["address"]["latitude"] == 59.9


def test_other_column_names_and_disorder_are_understood(tmp_path: Path) -> None:
    start = datetime(2024, 3, 1, tzinfo=UTC)
    ends = [start + timedelta(minutes=5 * number) for number in (3, 1, 2, 2)]
    pl.DataFrame({"time": ends, "power_w": [3, 1, 9, 2]}).write_parquet(tmp_path / "x.parquet")
    read = read_recording(tmp_path / "x.parquet")
    assert read.watts.tolist() == [1.0, 2.0, 3.0]
    assert read.step_s == 300


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"mean_power_w": [1.0]}, "no column for end"),
        ({"interval_end_utc": [datetime(2024, 1, 1)]}, "no column for power"),  # noqa: DTZ001 - naive on purpose
        ({"interval_end_utc": ["today"], "mean_power_w": [1.0]}, "must hold timestamps"),
        ({"interval_end_utc": [datetime(2024, 1, 1)], "mean_power_w": ["1.0"]}, "must hold numbers"),  # noqa: DTZ001
        ({"interval_end_utc": [datetime(2024, 1, 1)], "mean_power_w": [1.0]}, "at least two"),  # noqa: DTZ001
    ],
)
def test_a_file_that_is_no_recording_says_what_is_missing(
    tmp_path: Path, columns: dict[str, list[object]], said: str
) -> None:
    pl.DataFrame(columns).write_parquet(tmp_path / "bad.parquet")
    with pytest.raises(RecordingError, match=said):
        read_recording(tmp_path / "bad.parquet")


def test_missing_files_other_files_and_unknown_zones(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="Cannot read"):
        read_recording(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(RecordingError, match="Give a Parquet file"):
        read_recording(tmp_path / "text.parquet")
    path = recording(tmp_path / "zone.parquet", [1.0, 2.0])
    for replay, said in (
        (Replay(path, plant_id="../x"), "not a plant id"),
        (Replay(path, rated_kw=0), "rated power of 0 kW is impossible"),
        (Replay(path, latitude=999), "latitude of 999 is impossible: give degrees from -90 to 90"),
        (Replay(path, longitude=float("nan")), "longitude of nan is impossible"),
        (Replay(path, plant_id="900001"), "Two plants"),
    ):
        with pytest.raises(RecordingError, match=said):
            World(Options(plants=0, recordings=True, replays=(replay,)))
    with pytest.raises(RecordingError, match="Unknown time zone"):
        World(Options(plants=0, replays=(Replay(path, timezone="Mars/Base"),)))
