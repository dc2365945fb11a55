"""What a command that pays needs at its end is looked at before its first request."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.run import context
from pipeline.run.context import RunContext
from schemas import RawEnergyBalance, storage
from tests.scripted import NOW, ScriptedSma
from tests.whole_days import MONDAY, run

Break = Callable[[Path], dict[str, str]]


def break_records(home: Path) -> dict[str, str]:
    """A home of Dagster that can't be used."""
    shutil.rmtree(home / "dagster", ignore_errors=True)
    (home / "dagster").write_text("no folder")
    return {}


def break_warehouse(home: Path) -> dict[str, str]:
    """A published file that can't be written."""
    (home / "taken").mkdir()
    return {"SUNLEDGER_WAREHOUSE": str(home / "taken")}


def break_prices(home: Path) -> dict[str, str]:
    """A price list that can't be read."""
    (home / "prices.toml").write_text("[[broken")
    return {"SUNLEDGER_PRICES": str(home / "prices.toml")}


def break_quality(home: Path) -> dict[str, str]:
    """Thresholds that can't be read."""
    (home / "quality.toml").write_text("night_w = [")
    return {"SUNLEDGER_QUALITY": str(home / "quality.toml")}


@pytest.mark.parametrize(
    "words",
    [
        ["refresh", "--yes"],
        ["backfill", "--from", str(MONDAY), "--to", str(MONDAY), "--yes"],
        ["reconcile", "--month", "2021-09", "--yes"],
        ["repair", "--yes"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("broken", [break_records, break_warehouse, break_prices, break_quality])
def test_nothing_is_asked_for_where_the_end_would_fail(
    new_runtime: Callable[..., RunContext],
    sma: ScriptedSma,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    broken: Break,
) -> None:
    from pipeline.cli.commands import app  # noqa: PLC0415

    run(new_runtime(), MONDAY)
    for file in Path(settings.lake, storage(RawEnergyBalance).table).rglob("*.parquet"):
        file.unlink()
    sma.asked.clear()
    monkeypatch.setattr(context, "SmaSession", lambda *_, **__: sma)
    monkeypatch.setattr(context, "read_clock", lambda: NOW)
    given = {
        "SUNLEDGER_HOME": str(settings.home),
        "SUNLEDGER_LAKE": settings.lake,
        "SUNLEDGER_WAREHOUSE": str(settings.warehouse),
        "SMA_CLIENT_ID": "client",
        "SMA_CLIENT_SECRET": "the-secret",
        "SMA_TIME_BASIS": "plant_local",
        "SMA_MONITORING_URL": settings.sma_monitoring_url,
        "SMA_AUTH_URL": settings.sma_auth_url,
    }
    for name, value in {**given, **broken(settings.home)}.items():
        monkeypatch.setenv(name, value)
    try:
        code = app(words, standalone_mode=False)
    except SunledgerError as error:
        code = error.exit_code
    except OSError:
        # The end of the program makes a sentence of it.
        code = 1
    assert (bool(code), sma.asked) == (True, [])
