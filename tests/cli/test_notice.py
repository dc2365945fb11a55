"""The notice about fields that nobody knows: a line for each table that keeps them, once a run."""

from collections.abc import Callable

import pytest

from pipeline.cli.commands import _tell_unknown
from pipeline.run.context import Runtime


def test_unknown_fields_are_one_line_for_each_table(
    new_runtime: Callable[..., Runtime], capsys: pytest.CaptureFixture[str]
) -> None:
    runtime = new_runtime()
    _tell_unknown(runtime)
    assert capsys.readouterr() == ("", "")
    runtime.unknown_fields = {"raw_pv": {"b", "a"}, "raw_energy_balance": {"c"}}
    _tell_unknown(runtime)
    assert capsys.readouterr().err.splitlines() == [
        "Notice: SMA sends fields that no table has, kept in raw_energy_balance as they came: c.",
        "Notice: SMA sends fields that no table has, kept in raw_pv as they came: a, b.",
    ]
