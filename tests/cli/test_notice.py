"""The notice about fields that nobody knows: a line for each table that keeps them, once a run."""

import pytest

from pipeline.cli.outcome_notices import tell_unknown
from pipeline.run.notices import Notices


def test_unknown_fields_are_one_line_for_each_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell_unknown(Notices())
    assert capsys.readouterr() == ("", "")
    tell_unknown(Notices.of(unknown_fields={"raw_pv": {"b", "a"}, "raw_energy_balance": {"c"}}))
    assert capsys.readouterr().err.splitlines() == [
        "Notice: SMA sends fields that no table has. They are kept unchanged in raw_energy_balance: c.",
        "Notice: SMA sends fields that no table has. They are kept unchanged in raw_pv: a, b.",
    ]
