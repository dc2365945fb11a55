"""A backfill that changes nothing is not recorded, asks for the same, and publishes; anything else is recorded."""

import datetime as dt
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest
from polars.testing import assert_frame_equal
from pydantic import SecretStr

from assets.home_setup.dagster_home import open_dagster
from assets.run_control.spared_runs import open_spared_runs
from assets.runs import RunFailedError
from pipeline.common.errors import SmaError, TransientError
from pipeline.common.finding import Finding
from pipeline.common.settings import Settings
from pipeline.run.check_outcomes import keep_outcome
from pipeline.run.context import RunContext
from pipeline.run.notices import Notices
from pipeline.sma.requests import Request
from schemas import EnergyDaily
from tests.home_template import HomeTemplate
from tests.programs import ONE_SET
from tests.scripted import ScriptedSma
from tests.scripted_home import make_runtime, make_settings
from warehouse.published_file.open_published import connect

DAY = dt.date(2021, 10, 4)


@dataclass
class Fleet:
    """A home whose day is there, and what was recorded and asked since the last look."""

    settings: Settings
    sma: ScriptedSma = field(default_factory=ScriptedSma)
    seen: Counter[str] = field(default_factory=Counter)
    notices: Notices = field(default_factory=Notices)

    def backfill(self) -> list[str]:
        """The states of the runs that it is recorded with, as `sunledger backfill` does it."""
        self.sma.asked.clear()
        try:
            with (
                self.open_runtime() as runtime,
                open_spared_runs(runtime, command="backfill", days=(DAY, DAY)) as runs,
            ):
                try:
                    runs.refresh_plants()
                    runs.refresh_devices()
                    runs.fetch_days(DAY, DAY)
                finally:
                    runs.publish()
                self.notices = runs.notices
        finally:
            with open_dagster(self.settings) as instance:
                states = [run.status.value for run in reversed(instance.get_runs())]
        new = states[self.seen["runs"] :]
        self.seen["runs"] = len(states)
        return new

    def open_runtime(self) -> RunContext:
        return make_runtime(self.settings, self.sma, again=False)


@dataclass
class Beginning:
    """The home that each test begins with, and what its fleet knew then."""

    template: HomeTemplate
    fleet: list[Fleet]


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Beginning:
    made: list[Fleet] = []

    def build(place: Path) -> None:
        # The fewest tables that a day can have: what is recorded is no matter of how many they are.
        least = {"sets": ONE_SET["SUNLEDGER_SETS"], "logs": ONE_SET["SUNLEDGER_LOGS"]}
        found = Fleet(make_settings(place).model_copy(update=least))
        assert set(found.backfill()) == {"SUCCESS"}
        assert found.backfill() == []
        made.append(found)

    return Beginning(HomeTemplate(tmp_path_factory.mktemp("spared"), build), made)


@pytest.fixture
def fleet(beginning: Beginning) -> Fleet:
    beginning.template.restore()
    return deepcopy(beginning.fleet[0])


@pytest.mark.long
def test_nothing_is_recorded_and_all_else_is_done_until_there_is_a_new_plant(fleet: Fleet) -> None:
    file, told = fleet.settings.warehouse, fleet.notices
    file.unlink()
    assert fleet.backfill() == []
    assert [one.endpoint for one in fleet.sma.asked] == ["plants"]
    assert file.is_file()
    assert fleet.notices == told
    fleet.sma.lists.append("13")
    assert set(fleet.backfill()) == {"SUCCESS"}
    asked = Counter(one.endpoint for one in fleet.sma.asked)
    assert asked["plants"] == 1
    assert asked["measurements"] > 0
    with connect(file) as published:
        assert published.execute("SELECT count(DISTINCT plant_id) FROM energy_daily").fetchall() == [(3,)]


@pytest.mark.long
def test_a_list_that_is_missing_or_fails_is_recorded_with_its_only_try(fleet: Fleet) -> None:
    refused = TransientError("GET /v1/plants answered 503 six times: try again later.", status=503)
    fleet.sma.special = lambda request: refused if request.endpoint == "plants" else None
    assert set(fleet.backfill()) == {"SUCCESS"}
    assert [one.endpoint for one in fleet.sma.asked] == ["plants"]
    assert fleet.notices.missing

    def fail(_: Request) -> None:
        raise SmaError("The answer can't be read.")

    fleet.sma.special = fail
    with pytest.raises(RunFailedError, match=r"The answer can't be read\."):
        fleet.backfill()
    assert [one.endpoint for one in fleet.sma.asked] == ["plants"]
    fleet.sma.special = lambda _: None
    # What failed and the publication after it, and what went well.
    states = fleet.backfill()
    assert states[0] == "FAILURE"
    assert set(states[2:]) == {"SUCCESS"}
    assert states[2:]
    assert fleet.backfill() == []


@pytest.mark.long
def test_what_a_check_finds_anew_and_what_a_dead_run_left_are_recorded(fleet: Fleet) -> None:
    with fleet.open_runtime() as runtime:
        keep_outcome(runtime, "readable", Finding(passed=False, text="It can't be read.", severe=True))
    assert fleet.backfill() == ["SUCCESS"]
    assert fleet.backfill() == []
    with open_dagster(fleet.settings) as instance:
        instance.report_run_failed(instance.create_run_for_job(_build_empty_job()))
    states = fleet.backfill()
    assert states[0] == "FAILURE"
    assert set(states[1:]) == {"SUCCESS"}
    assert states[1:]
    left = fleet.settings.home / "unfinished"
    (left / "1.days").write_text(f"{DAY}\n")
    assert fleet.backfill()
    assert not list(left.iterdir())
    assert fleet.backfill() == []


@pytest.mark.long
def test_changed_days_are_made_and_recorded_and_so_is_what_others_wait_for(fleet: Fleet) -> None:
    with fleet.open_runtime() as runtime:
        stored = runtime.lake.scan(EnergyDaily).collect()
        runtime.lake.replace(EnergyDaily, {"local_date": DAY}, [], empty=True)
    assert fleet.backfill()
    with fleet.open_runtime() as runtime:
        assert_frame_equal(runtime.lake.scan(EnergyDaily).collect(), stored, check_row_order=False)
    thresholds = fleet.settings.home / "quality.toml"
    thresholds.write_text("")
    fleet.settings = fleet.settings.model_copy(update={"quality": thresholds})
    assert fleet.backfill()
    assert fleet.backfill() == []
    pushed = SecretStr("postgresql://nobody@127.0.0.1:1/x")
    fleet.settings = fleet.settings.model_copy(update={"push_url": pushed})
    # The days are made anew for other settings; after that it is the push that waits.
    for _ in range(2):
        assert set(fleet.backfill()) == {"SUCCESS"}


def _build_empty_job() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None:
        pass

    @dg.job
    def empty() -> None:
        nothing()

    return empty
