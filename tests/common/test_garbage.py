"""Python's search for garbage: seldom while the program loads, as usual from its first run on."""

import gc
import sys
from collections.abc import Iterator

import pytest

from assets.home_setup.dagster_home import open_dagster
from pipeline import cli
from pipeline.cli import end
from pipeline.common import garbage
from pipeline.common.garbage import NEW_WHILE_LOADING, skip_loaded_objects
from pipeline.common.settings import Settings
from pipeline.common.signals import SIGNALS

USUAL = gc.get_threshold()


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The tests' own beginnings, which conftest keeps out of the search, are part of it here."""
    gc.unfreeze()
    yield
    gc.set_threshold(*USUAL)
    gc.freeze()


def test_the_search_is_held_until_dagster_is_open(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    while_loading: list[int] = []
    monkeypatch.setattr(type(SIGNALS), "install", lambda _: None)
    monkeypatch.setattr(end, "run_to_end", lambda: while_loading.append(gc.get_threshold()[0]))
    cli.main()
    assert while_loading == [NEW_WHILE_LOADING]
    gc.unfreeze()
    with open_dagster(settings):
        assert gc.get_threshold() == USUAL
        assert gc.get_freeze_count() > 0


def test_who_did_not_hold_it_keeps_all_objects_in_the_search(settings: Settings) -> None:
    with open_dagster(settings):
        skip_loaded_objects()
    assert gc.get_freeze_count() == 0


def test_nothing_is_searched_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    skipped: list[bool] = []
    monkeypatch.setattr(end, "_run", lambda: 0)
    monkeypatch.setattr(end, "skip_all_objects", lambda: skipped.append(True))
    monkeypatch.setattr(SIGNALS, "leaving", SIGNALS.leaving)
    with pytest.raises(SystemExit):
        end.run_to_end()
    assert skipped == [True]
    garbage.skip_all_objects()
    assert gc.get_freeze_count() > len(sys.modules)
