"""The model: energy is conserved, seeds repeat, and the exact energy agrees with the rows."""

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sandbox.fleet.plant_model import Battery, Plant
from sandbox.fleet.simulated_fleet import build_fleet
from sandbox.physics.battery import run_batteries, walk_within
from sandbox.physics.flows import CELL_HOURS, Flows, count_cells, simulate_flows
from sandbox.series.flow_cache import FlowCache
from sandbox.series.held_limits import PowerLimit
from sandbox.series.simulated_source import SimulatedSource
from tests.sandbox.served_sandbox import Serve, Served

FLEET = build_fleet(40, 7)


def simulated(plant: Plant, days: list[date], limit: NDArray[np.float64] | None = None) -> Flows:
    """A plant on some days, of seed 7."""
    return simulate_flows([plant] * len(days), days, 7, limit)


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0, 100)), min_size=1, max_size=70))
def test_the_scan_walks_as_a_step_by_step_walk_does(items: list[tuple[float, float]]) -> None:
    steps, upper = np.array([[item[0] for item in items]]), np.array([[item[1] for item in items]])
    expected, stored = [], 0.0
    for step, limit in items:
        stored = min(max(stored + step, 0.0), limit)
        expected.append(stored)
    assert walk_within(steps, upper)[0] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.floats(100, 20_000), st.floats(100, 8000))
def test_a_battery_conserves_energy_and_ends_the_day_at_its_reserve(
    seed: int, capacity: float, power: float
) -> None:
    rng = np.random.default_rng(seed)
    net = rng.normal(0, 4000, (2, 288))
    surplus, deficit = np.maximum(net, 0), np.maximum(-net, 0)
    battery = Battery(capacity, power)
    charging, discharging, stored = run_batteries([battery] * 2, surplus, deficit, CELL_HOURS)
    assert (charging <= surplus + 1e-6).all()
    assert (discharging <= deficit + 1e-6).all()
    assert charging.max() <= power + 1e-6
    assert stored.max() <= capacity + 1e-6
    assert stored[:, -1] == pytest.approx(0.0, abs=1e-6)
    into = charging.sum(axis=1) * battery.efficiency
    out = discharging.sum(axis=1) / battery.efficiency
    assert into == pytest.approx(out, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("plant", FLEET[::3], ids=lambda plant: plant.name)
def test_no_energy_appears_or_vanishes(plant: Plant) -> None:
    flows = simulated(plant, [date(2023, 6, 10), date(2023, 6, 11)])
    sources = flows.pv + flows.diesel + flows.discharging + flows.from_grid
    sinks = flows.load + flows.charging + flows.feed_in
    assert np.abs(sources - sinks).max() < 1e-6
    for item in fields(Flows):
        values = getattr(flows, item.name)
        assert np.isfinite(values).all(), item.name
        if not item.name.endswith("_c"):
            assert values.min() >= -1e-9, item.name
    assert flows.pv.max() <= plant.array.ac_rated_w + 1e-9
    assert (flows.dc >= flows.pv).all()


def test_summer_beats_winter_and_noon_beats_night() -> None:
    plant = FLEET[0]
    june = simulated(plant, [date(2023, 6, day) for day in range(1, 31)])
    december = simulated(plant, [date(2023, 12, day) for day in range(1, 31)])
    assert june.pv.sum() > 3 * december.pv.sum()
    assert june.pv[:, 138:162].mean() > june.pv[:, 84:96].mean() > 0
    assert june.pv[:, :24].max() == 0
    specific = june.pv.sum() * CELL_HOURS / plant.array.peak_w  # kWh per kWp of June
    assert 70 < specific < 180


def test_a_day_alone_equals_the_day_within_its_month() -> None:
    for plant in FLEET[:4]:
        month = simulated(plant, [date(2023, 5, day) for day in range(1, 32)])
        for day in (1, 9, 31):
            alone = simulated(plant, [date(2023, 5, day)])
            for item in fields(Flows):
                one, other = getattr(month, item.name)[day - 1], getattr(alone, item.name)[0]
                assert one == pytest.approx(other, abs=1e-6), item.name


def test_same_seed_same_bytes_other_seed_other_bytes(serve: Serve) -> None:
    path = "/monitoring/v1/plants/5000000/measurements/sets/EnergyBalance/Day"
    one, same, other = (
        serve(plants=2, seed=seed).http.get(path, params={"Date": "2023-06-10"}).content for seed in (3, 3, 4)
    )
    assert one == same
    assert one != other


def test_plants_of_a_town_see_the_same_clouds_and_have_houses_of_their_own() -> None:
    first, other = next(
        (a, b) for a, b in combinations(FLEET, 2) if a.site == b.site and not (a.charger_w or b.charger_w)
    )
    elsewhere = replace(first, site=next(plant.site for plant in FLEET if plant.site != first.site))
    alike = replace(other, array=first.array)
    days = [date(2023, 6, day) for day in range(1, 31)]
    mine, theirs, far = (simulated(plant, days) for plant in (first, alike, elsewhere))
    light = mine.insolation > 0
    assert np.corrcoef(mine.insolation[light], theirs.insolation[light])[0, 1] > 0.999
    assert np.abs(mine.insolation - theirs.insolation).max() > 1  # the flicker is in part a plant's own
    assert np.abs(mine.ambient_c - theirs.ambient_c).max() == 0
    assert np.corrcoef(mine.insolation[light], far.insolation[light])[0, 1] < 0.9
    noise = mine.load / mine.load.mean() - theirs.load / theirs.load.mean()
    assert noise.std() > 0.2


def test_a_limit_of_the_inverters_and_a_plant_without_a_meter() -> None:
    """A limit of generation acts before the house; without a meter, so does one of feed-in."""
    metered = next(plant for plant in FLEET if plant.metered and plant.battery is None and not plant.diesel_w)
    blind = next(plant for plant in FLEET if not plant.metered)
    day = date(2023, 6, 10)
    for plant, which in ((metered, "generation_limit"), (blind, "feed_in_limit")):
        limit = np.full((1, count_cells(day, plant.zone)), 500.0)
        free = simulated(plant, [day])
        held = simulate_flows([plant], [day], 7, **{which: limit})
        assert held.pv.tolist() == np.minimum(free.pv, 500.0).tolist()
        assert (held.dc >= held.pv).all()
        assert np.abs(held.pv + held.from_grid - held.load - held.feed_in).max() < 1e-6


def test_feed_in_limit_holds_and_what_is_lost_is_pv_alone() -> None:
    plant = next(p for p in FLEET if p.metered and p.battery is None)
    day = date(2023, 6, 10)
    free = simulated(plant, [day])
    limit = np.full((1, count_cells(day, plant.zone)), 500.0)
    held = simulated(plant, [day], limit)
    assert free.feed_in.max() > 500
    assert held.feed_in.max() <= 500 + 1e-9
    assert np.abs((free.pv - held.pv) - (free.feed_in - held.feed_in)).max() < 1e-6
    assert (held.load == free.load).all()


def test_limits_change_days_months_and_the_truth_alike() -> None:
    plant = next(p for p in FLEET if p.metered and p.battery is None)
    source = SimulatedSource(plant, FlowCache(7))
    day = date(2023, 6, 10)
    start = float(simulated(plant, [day]).ends[0, 0]) - 300
    before = source.exact_kwh(None, "pvGeneration", start, start + 86400)
    source.limit([PowerLimit(start, start + 86400, 0.0)])
    after = source.exact_kwh(None, "pvGeneration", start, start + 86400)
    assert before is not None
    assert after is not None
    assert after < before
    month = source.daily_energy(None, "EnergyBalance", [day])["pvGeneration"][0]
    rows = source.day(None, "EnergyBalance", day).energy["pvGeneration"].sum()
    assert (month / 1000, rows / 1000) == (pytest.approx(after), pytest.approx(after))
    assert source.exact_kwh(None, "gridFeedIn", start, start + 86400) == pytest.approx(0.0)


def test_truth_of_parts_adds_up_and_cuts_cells(sandbox: Served) -> None:
    edges = ["2023-06-10T00:00:00Z", "2023-06-10T11:02:30Z", "2023-06-12T07:00:01Z", "2023-06-30T00:00:00Z"]
    parts = [sandbox.truth("5000000", "pvGeneration", a, b) for a, b in pairwise(edges)]
    assert sum(parts) == pytest.approx(
        sandbox.truth("5000000", "pvGeneration", edges[0], edges[-1]), rel=1e-12
    )


def test_truth_of_devices_adds_up_to_the_plant(sandbox: Served) -> None:
    plant = next(source.plant for source in sandbox.world.sources() if source.plant.index == 2)
    inverters = [device for device in plant.devices if device.share]
    swap = max(device.installed_at for device in inverters)
    moments = [datetime.fromtimestamp(swap + days * 86400, UTC).isoformat() for days in (-40, 40)]
    window = dict(zip(("from", "to"), moments, strict=True))
    kwh = [sandbox.get(f"/_truth/devices/{d.device_id}/pvGeneration", **window)["kwh"] for d in inverters]
    assert all(value > 0 for value in kwh)
    whole = sandbox.truth(plant.plant_id, "pvGeneration", window["from"], window["to"])
    assert sum(kwh) == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize(
    "path",
    [
        "plants/5000000/batteryStateOfCharge?from=2023-01-01&to=2023-01-02",
        "plants/5000000/pvGeneration?from=2023-01-02&to=2023-01-01",
        "plants/5000000/pvGeneration?from=x&to=2023-01-01",
        "plants/5000000/pvGeneration?from=0001-01-01&to=2023-01-01",
        "plants/none/pvGeneration?from=2023-01-01&to=2023-01-02",
        "devices/none/pvGeneration?from=2023-01-01&to=2023-01-02",
    ],
)
def test_bad_questions_for_the_truth(sandbox: Served, path: str) -> None:
    assert sandbox.http.get(f"/_truth/{path}").status_code in (400, 404)


def test_caches_stay_bounded() -> None:
    cache = FlowCache(7, days=5, months=2)
    source = SimulatedSource(replace(FLEET[0]), cache)
    for day in range(1, 13):
        source.day(None, "EnergyBalance", date(2023, 6, day))
        assert cache.count_kept()[0] <= 5
    source.daily_energy(None, "EnergyBalance", [date(2023, month, 1) for month in (1, 2, 3, 4)])
    assert cache.count_kept() == (5, 2)


def test_a_fleet_simulated_together_equals_its_plants_alone() -> None:
    day = date(2023, 6, 10)
    together = simulate_flows(FLEET, [day] * len(FLEET), 7)
    for position, plant in enumerate(FLEET):
        alone = simulated(plant, [day])
        for item in fields(Flows):
            one, other = getattr(together, item.name)[position], getattr(alone, item.name)[0]
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-6, err_msg=f"{plant.name}: {item.name}")


@pytest.mark.parametrize("day", [date(2023, 6, 10), date(2023, 3, 26), date(2023, 10, 29)])
def test_whatever_the_order_of_asking_the_rows_are_the_same(day: date) -> None:
    """In the order of the fleet, backwards, plant by plant: what is simulated ahead changes nothing."""
    days = [day + timedelta(days=ahead) for ahead in range(3)]
    asked = [(plant, at) for at in days for plant in FLEET]
    orders = [asked, asked[::-1], sorted(asked, key=lambda row: row[0].index)]
    answers = []
    for order in orders:
        cache = FlowCache(7, days=100)
        sources = {plant.index: SimulatedSource(plant, cache) for plant in FLEET}
        rows = {(plant.index, at): sources[plant.index].day(None, "EnergyBalance", at) for plant, at in order}
        answers.append({key: table.power["pvGeneration"].round(3).tolist() for key, table in rows.items()})
    assert answers[0] == answers[1] == answers[2]
