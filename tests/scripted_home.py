"""A home of its own, and runs in it that ask a scripted SMA: for fixtures of one test, and of all tests of a module."""

import dataclasses
import datetime as dt
from collections.abc import Callable
from pathlib import Path

import polars as pl

from pipeline.common.settings import Settings, load_settings
from pipeline.run.context import RunContext
from pipeline.run.notices import Notices
from pipeline.sma.requests import Request
from schemas import Table
from tests.scripted import NOW, ScriptedSma


def make_settings(folder: Path) -> Settings:
    """Settings of a home that begins in the folder."""
    return load_settings(
        env_file=None,
        home=folder / "home",
        lake=str(folder / "home" / "lake"),
        warehouse=folder / "home" / "sunledger.duckdb",
        sma_client_id="client",
        sma_client_secret="the-secret",
        sma_time_basis="plant_local",
        sma_monitoring_url="http://127.0.0.1:9/monitoring",
        sma_auth_url="http://127.0.0.1:9",
    )


def make_runtime(settings: Settings, sma: ScriptedSma, *plants: str, again: bool = True) -> RunContext:
    """The context of a new run; it asks again for what is stored."""
    return RunContext(
        settings,
        only_plants=frozenset(plants),
        again=again,
        now=lambda: NOW,
        make_session=lambda _: sma,  # type: ignore[arg-type,return-value]
    )


@dataclasses.dataclass(frozen=True)
class Stage:
    """What one run of many plants left, for tests that look at a plant each."""

    frames: dict[type[Table], pl.DataFrame]
    notices: Notices
    asked: list[Request]

    def rows(self, model: type[Table], plant: str, day: dt.date | None = None) -> pl.DataFrame:
        """The plant's rows of a table, of all days or of one."""
        found = self.frames[model].filter(plant_id=plant)
        return found if day is None else found.filter(local_date=day)

    def missing(self, plant: str, day: dt.date | None = None) -> set[str]:
        """The tables in which the run said that something of the plant is missing."""
        return {
            item.table
            for item in self.notices.missing
            if item.plant_id == plant and (day is None or item.day == str(day))
        }


def take_stage(
    settings: Settings,
    sma: ScriptedSma,
    models: list[type[Table]],
    work: Callable[[RunContext], Notices],
    *plants: str,
) -> Stage:
    """Do the work in a new run, of all plants or of these alone, and keep what the tables are then."""
    sma.asked.clear()
    with make_runtime(settings, sma, *plants) as runtime:
        notices = work(runtime)
        frames = {model: runtime.lake.scan(model).collect() for model in models}
    return Stage(frames, notices, list(sma.asked))
