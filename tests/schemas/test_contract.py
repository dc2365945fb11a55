"""The published tables against their contract: nothing changes silently."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from schemas import TABLES, columns
from warehouse import contract
from warehouse.published_file.meta import FILE_TABLES
from warehouse.views import load_curated_views

TODAY = dt.date(2030, 1, 2)
TYPES = {
    *("BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "DECIMAL(18,2)"),
    *("VARCHAR", "DATE", "TIMESTAMP", "TIMESTAMPTZ", "BLOB"),
}


def test_the_contract_is_what_the_models_say() -> None:
    version, promised = contract.read()
    assert contract.find_differences(promised, contract.collect_promises()) == ([], []), (
        f"The published tables changed: run '{contract.REMAKE}' and commit what it writes."
    )
    assert contract.FILE.read_text() == contract.format_contract(version, promised)
    newest = contract.CHANGES.read_text().partition(contract.VERSIONS)[2].split("### ")[1]
    assert newest.startswith(f"{version[0]}.{version[1]} (")


def test_no_type_surprises() -> None:
    assert {c.duckdb_type for model in (*TABLES, *FILE_TABLES) for c in columns(model)} <= TYPES
    types = {kind for kind, *_ in contract.collect_promises().values()}
    assert types - {"", "macro"} <= TYPES - {"BLOB"}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A contract and a list of changes of the test's own."""
    monkeypatch.setattr(contract, "FILE", tmp_path / "contract.csv")
    monkeypatch.setattr(contract, "RELEASED", tmp_path / "released.csv")
    monkeypatch.setattr(contract, "CHANGES", tmp_path / "changes.md")
    (tmp_path / "changes.md").write_text("Policy.\n\n## Versions\n\n### 3.1 (2029-01-01)\n")
    return tmp_path


def promise(**changed: tuple[str, ...] | None) -> None:
    """Release version 3.1: what is published now, but for some columns of energy_daily."""
    facts = contract.collect_promises()
    for name, fact in changed.items():
        if fact is None:
            del facts["energy_daily", name]
        else:
            facts["energy_daily", name] = fact
    contract.FILE.write_text(contract.format_contract((3, 1), facts))
    contract.RELEASED.write_text(contract.FILE.read_text())


def test_an_addition_raises_the_second_number(files: Path) -> None:
    promise(coverage=None)
    assert contract.main([], TODAY) == 0
    assert contract.read() == ((3, 2), contract.collect_promises())
    told = "## Versions\n\n### 3.2 (2030-01-02)\n\n* energy_daily.coverage added\n\n### 3.1"
    assert told in (files / "changes.md").read_text()


@pytest.mark.parametrize(
    ("name", "fact", "told"),
    [
        ("old", ("DOUBLE", "null", "kW"), "energy_daily.old removed"),
        ("coverage", ("BIGINT", "null", "1"), "energy_daily.coverage: BIGINT null 1 became DOUBLE null 1"),
    ],
)
def test_a_break_must_be_confirmed(
    files: Path, capsys: pytest.CaptureFixture[str], name: str, fact: tuple[str, ...], told: str
) -> None:
    promise(**{name: fact})
    before = contract.FILE.read_text()
    assert contract.main([], TODAY) == 1
    assert told in capsys.readouterr().err
    assert contract.FILE.read_text() == before
    assert contract.main(["--breaking"], TODAY) == 0
    assert contract.read()[0] == (4, 0)
    assert f"* {told}\n" in (files / "changes.md").read_text()


def test_a_view_s_types_and_units_are_promised(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    promise()
    cast = "CAST(sum(quarantine.n_rows) AS BIGINT)"
    power = {"pv_generation_w": "Mean PV power. Unit: kW."}
    views = [
        replace(
            view,
            query=view.query.replace(cast, "sum(quarantine.n_rows)"),
            columns=view.columns | (power if view.name == "v_profile_monthly" else {}),
        )
        for view in load_curated_views()
    ]
    monkeypatch.setattr(contract, "load_curated_views", lambda: views)
    assert contract.main([], TODAY) == 1
    told = capsys.readouterr().err
    assert "v_quarantine_by_reason.n_rows: BIGINT count became HUGEINT count" in told
    assert "v_profile_monthly.pv_generation_w: DOUBLE W became DOUBLE kW" in told


def test_without_a_change_nothing_is_written(files: Path) -> None:
    promise()
    assert contract.main([], TODAY) == 0
    assert contract.read()[0] == (3, 1)
    assert contract.main(["--force"], TODAY) == 2
    assert "3.2" not in (files / "changes.md").read_text()


@pytest.mark.long
def test_a_second_run_changes_nothing(files: Path) -> None:
    promise(coverage=None, old=("DOUBLE", "null", "kW"))
    assert contract.main(["--breaking"], TODAY) == 0
    first = {file.name: file.read_bytes() for file in files.iterdir()}
    assert contract.main([], TODAY + dt.timedelta(days=1)) == 0
    assert {file.name: file.read_bytes() for file in files.iterdir()} == first


@pytest.mark.long
def test_further_changes_before_a_release_stay_in_its_version(files: Path) -> None:
    promise(coverage=None, covered_h=None)
    known = contract.collect_promises()
    del known["energy_daily", "covered_h"]
    contract.FILE.write_text(contract.format_contract((3, 2), known))
    entry = "### 3.2 (2029-12-31)\n\n* energy_daily.coverage and its docs added\n"
    changes = files / "changes.md"
    changes.write_text(f"Policy.\n\n## Versions\n\n{entry}\n### 3.1 (2029-01-01)\n")
    assert contract.main([], TODAY) == 0
    assert contract.read()[0] == (3, 2)
    told = f"{entry}* energy_daily.covered_h added\n\n### 3.1 (2029-01-01)\n"
    assert changes.read_text() == f"Policy.\n\n## Versions\n\n{told}"


@pytest.mark.long
def test_after_a_release_the_next_change_raises_the_version_again(files: Path) -> None:
    promise(coverage=None)
    assert contract.main(["--release"], TODAY) == 0
    assert contract.RELEASED.read_text() == contract.FILE.read_text()
    assert contract.read(contract.RELEASED)[0] == (3, 2)
    assert contract.main([], TODAY) == 0
    assert contract.read()[0] == (3, 2)
    released = contract.collect_promises()
    del released["energy_daily", "covered_h"]
    contract.RELEASED.write_text(contract.format_contract((3, 2), released))
    assert contract.main([], TODAY) == 0
    assert contract.read()[0] == (3, 3)


@pytest.mark.long
def test_what_was_taken_back_before_a_release_is_no_break(files: Path) -> None:
    promise()
    tried = contract.collect_promises() | {("energy_daily", "tried"): ("DOUBLE", "null", "")}
    contract.FILE.write_text(contract.format_contract((3, 2), tried))
    assert contract.main([], TODAY) == 0
    assert contract.read() == ((3, 1), contract.collect_promises())


def test_the_present_version_follows_the_released_one() -> None:
    released, before = contract.read(contract.RELEASED)
    version, after = contract.read()
    added, breaking = contract.find_differences(before, after)
    follows = (released[0] + 1, 0) if breaking else (released[0], released[1] + bool(added))
    assert version == follows
