"""docs/data-dictionary.md says what the models say."""

from pathlib import Path

import pytest

from schemas import TABLES, EnergyMonthly, Quarantine, columns, storage
from warehouse import dictionary
from warehouse.dictionary import main, write_document, write_markdown
from warehouse.views import CuratedView, load_curated_views


def test_the_committed_dictionary_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_every_table_view_and_column_is_in_it() -> None:
    text = write_document()
    for model in TABLES:
        section = text.split(f"### `{storage(model).table}`\n", 1)[1].split("\n### ", 1)[0]
        for column in columns(model):
            assert (
                f"\n| `{column.name}` | {column.duckdb_type} | {column.unit} | {column.description} "
                in section
            )
            assert (column.null or "never null") in section
    for view in load_curated_views():
        section = text.split(f"### `{view.name}`\n", 1)[1].split("\n### ", 1)[0]
        assert all(f"\n| `{name}` |" in section for name in view.columns)


def test_a_table_tells_key_partition_and_rules() -> None:
    monthly = write_markdown([EnergyMonthly])
    assert "Key: `plant_id`, `month`; partitioned by `month`; published as a table." in monthly
    assert "| ≥ 0; finite |" in monthly
    assert "| one of `complete`, `partial`, `missing`, `provisional` |" in monthly
    assert "No key: two rows may be equal" in write_markdown([Quarantine])


def test_a_bar_in_a_meaning_does_not_break_the_table() -> None:
    view = CuratedView("v", "view", "About.", {"a": "x | y."}, "SELECT 1 AS a")
    assert "| `a` | x \\| y. |" in write_markdown([], [view])


def test_check_fails_on_drift_and_writing_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "docs" / "data-dictionary.md"
    monkeypatch.setattr(dictionary, "FILE", file)
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0
    file.write_text(file.read_text("utf-8").replace("kWh", "MWh"), "utf-8")
    assert main(["--check"]) == 1
    assert "run 'python -m warehouse.dictionary'" in capsys.readouterr().err


def test_an_unknown_option_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--chek"]) == 2
    assert "Usage:" in capsys.readouterr().err
