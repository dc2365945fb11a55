"""How a new home begins - lists that are fetched, whole first days - is done once, and copied for tests that begin so.

It is done by the product, on a home of its own: what it leaves in the home, what it reports and what it asks SMA for
are those of every run with the same settings and the same scripted SMA. A test that has changed the product by then
(`monkeypatch`), that scripts special answers, or whose home is not new, does it itself.
"""

import copy
import dataclasses
import datetime as dt
import shutil
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.run.context import OpenResources, RunContext, Silence
from pipeline.run.notices import Notices
from pipeline.sma.requests import Request
from tests.scripted import ScriptedSma, has_nothing_special

Work = Callable[[RunContext], Notices]
PLACES = {"home", "lake", "warehouse"}


@dataclasses.dataclass(frozen=True)
class Beginning:
    """The home, what was asked for, what was reported and what it cost."""

    home: Path
    asked: list[Request]
    notices: Notices
    added_eur: Decimal


class Beginnings:
    """Those of one process."""

    def __init__(self) -> None:
        # Of the test that runs: whether it can be told what it changes, and what changes something for it.
        self.allowed = False
        self.patch: pytest.MonkeyPatch | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._known: dict[tuple[Any, ...], Beginning] = {}

    def begin(self, runtime: RunContext, name: tuple[object, ...], work: Work) -> Notices:
        """Do the work, which the name tells, on the runtime's home, or have its outcome there."""
        alone = self._is_unchanged() and runtime.settings.sma_credentials is None
        sma: object = runtime.make_session(runtime.settings) if alone and runtime.make_session else None
        if not (isinstance(sma, ScriptedSma) and _is_usual(runtime, sma)):
            return work(runtime)
        known = (*name, *_describe(runtime, sma))
        if known not in self._known:
            try:
                self._known[known] = self._make(runtime, sma, work)
            except Exception:
                # What fails shall fail on the test's own home, which the test then looks at.
                return work(runtime)
        found = self._known[known]
        shutil.copytree(found.home, runtime.settings.home)
        sma.asked.extend(found.asked)
        runtime.allowance.added_eur = found.added_eur
        return copy.deepcopy(found.notices)

    def _is_unchanged(self) -> bool:
        """Whether the test has changed nothing yet of the product, or of what is around it."""
        patch = self.patch
        return self.allowed and (patch is None or not (patch._setattr or patch._setitem or patch._cwd))

    def _make(self, runtime: RunContext, sma: ScriptedSma, work: Work) -> Beginning:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory()
        home = Path(tempfile.mkdtemp(dir=self._folder.name)) / "home"
        own_sma = ScriptedSma()
        vars(own_sma).update(copy.deepcopy(vars(sma)) | {"asked": []})
        places = {"home": home, "lake": str(home / "lake"), "warehouse": home / "sunledger.duckdb"}
        own = dataclasses.replace(
            runtime,
            settings=runtime.settings.model_copy(update=places),
            allowance=copy.copy(runtime.allowance),
            opened=OpenResources(),
            make_session=lambda _: own_sma,  # type: ignore[arg-type,return-value]
        )
        notices = work(own)
        if own.opened.results is not None:
            own.opened.results.close()
        return Beginning(home, own_sma.asked, notices, own.allowance.added_eur)


def _is_usual(runtime: RunContext, sma: ScriptedSma) -> bool:
    """Whether nobody watches the run or has a hand in it, and its home is new."""
    settings, usual = runtime.settings, ScriptedSma()
    return (
        type(sma) is ScriptedSma
        and vars(sma).keys() == vars(usual).keys()
        and sma.special is has_nothing_special
        and runtime.opened == OpenResources()
        and isinstance(runtime.progress, Silence)
        and runtime.tell is RunContext.__dataclass_fields__["tell"].default
        and not settings.home.exists()
        and settings.lake == str(settings.home / "lake")
        and settings.warehouse == settings.home / "sunledger.duckdb"
    )


def _describe(runtime: RunContext, sma: ScriptedSma) -> tuple[object, ...]:
    """All that the outcome hangs on."""
    told = {name: value for name, value in vars(sma).items() if name not in {"asked", "special"}}
    run = {
        field.name: getattr(runtime, field.name)
        for field in dataclasses.fields(runtime)
        if field.name not in {"settings", "progress", "tell", "now", "make_session", "opened"}
    }
    moment: dt.datetime = runtime.now()
    return repr(told), repr(run), moment, repr(runtime.settings.model_dump(exclude=PLACES))


BEGINNINGS = Beginnings()
