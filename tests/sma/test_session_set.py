"""Sessions of several credentials: order, independence of their budgets, and bodies that wait on the disk."""

import datetime as dt
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import pytest

from pipeline.common.credentials import Credential
from pipeline.common.settings import Settings
from pipeline.sma.blocking_client import SmaSession
from pipeline.sma.client import Admit, pass_all
from pipeline.sma.http import read_ahead
from pipeline.sma.requests import Answer, Request
from pipeline.sma.session_set import SessionSet

WAIT_S = 30
NOON = dt.datetime(2021, 10, 4, 12, tzinfo=dt.UTC)


class Scripted:
    """Answers with the plant's id; waits before each answer until `go`."""

    def __init__(self) -> None:
        self.go, self.done = threading.Event(), threading.Event()
        self.go.set()

    def fetch(
        self, requests: Iterable[Request], *, urgent: bool = False, admit: Admit = pass_all
    ) -> Iterator[Answer]:
        del urgent, admit
        for request in requests:
            assert self.go.wait(WAIT_S)
            yield Answer(request, request.target, 200, NOON, 1.0, 1, request.plant_id.encode() * 100)
        self.done.set()

    def close(self) -> None:
        self.go.set()


def open_set(settings: Settings, scripts: dict[str, Scripted], tmp_path: Path) -> SessionSet:
    return SessionSet(
        [Credential(name, settings) for name in scripts],
        lambda one: cast("SmaSession", scripts[one.name]),
        lambda plants: {plant: tuple(plant[0]) for plant in plants if plant[0] in scripts},
        tmp_path,
    )


@pytest.mark.parametrize("held", [read_ahead.HELD_BYTES, 250])
def test_one_credential_that_waits_holds_up_no_request_of_another_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(read_ahead, "HELD_BYTES", held)
    scripts = {"a": Scripted(), "b": Scripted()}
    scripts["a"].go.clear()
    requests = [Request.devices(f"{name}{number:03}") for name in "ab" for number in range(500)]
    results = open_set(settings, scripts, tmp_path).fetch(requests)
    taken = threading.Thread(target=lambda: found.extend(results))
    found: list[object] = []
    taken.start()
    # All of b is there, in whatever number, before the first of a.
    assert scripts["b"].done.wait(WAIT_S)
    assert found == []
    scripts["a"].go.set()
    taken.join(WAIT_S)
    answers = [one for one in found if isinstance(one, Answer)]
    assert [one.request for one in answers] == requests
    assert all(one.body == one.request.plant_id.encode() * 100 for one in answers)


def test_a_plant_that_no_list_shows_is_not_asked_for(settings: Settings, tmp_path: Path) -> None:
    scripts = {"a": Scripted(), "b": Scripted()}
    known, strange = open_set(settings, scripts, tmp_path).fetch(
        [Request.devices("a1"), Request.devices("x1")]
    )
    assert isinstance(known, Answer)
    assert str(getattr(strange, "error", "")).startswith(
        "No credential of SMA_CREDENTIALS lists the plant x1"
    )
    assert not scripts["b"].done.is_set()
