"""A month for finance in one folder, out of the published file: which files there are, and what is in them."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from pipeline.common.errors import UsageError
from tests.warehouse.finance.packs import CSV, FILES, HOSTILE, NAMES, OCTOBER, Connection
from warehouse.finance import pack
from warehouse.finance.pack import PackChoice, write_pack
from warehouse.month_queries.published_units import list_members


def test_a_month_is_packed_with_a_readme(db: Connection, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    done = write_pack(db, OCTOBER, folder, CSV)
    assert {path.name for path in folder.iterdir()} == FILES
    rows = {one.path.stem: one.rows for one in done}
    assert {name: rows[name] for name in NAMES} == {
        "energy-monthly": 2,
        "energy-year": 2,
        "energy-daily": 4,
        "completeness": 2,
        "adjustments": 0,
        "restatements": 0,
        "billing-units": 0,
        "invoices": 0,
        "days-to-check": 3,
        "set-aside": 2,
    }
    monthly = pl.read_csv(folder / "energy-monthly.csv")
    assert monthly["Plant"].to_list() == ["Alpha", HOSTILE]
    assert monthly["PV generation (kWh)"].to_list() == [50, 4]
    readme = (folder / "README.md").read_text()
    assert "# October 2021" in readme
    assert "that sunledger 1.2.3 published on 2021-10-03 04:05 UTC" in readme
    assert "* PV generation: 54.00 kWh" in readme
    assert "* PU of the month: PU and fees are unknown, because there is no record of requests\n" in readme
    assert all(f"({name}) |" in readme for name in NAMES)


@pytest.mark.long
def test_a_group_has_its_plants_alone_and_the_account_its_invoices(
    billed: Connection, tmp_path: Path
) -> None:
    write_pack(billed, OCTOBER, tmp_path / "pack", PackChoice("csv", plants=["a"]))
    read = {name: pl.read_csv(tmp_path / "pack" / f"{name}.csv") for name in NAMES}
    for name, frame in read.items():
        assert set(frame["Plant id"] if "Plant id" in frame.columns else []) <= {"a"}, name
    assert read["billing-units"]["Fee (EUR)"].to_list() == [12.5]
    assert read["energy-monthly"]["Group"].to_list() == ["North"]


@pytest.mark.long
def test_text_of_others_stays_in_its_row_and_the_price_list_s_remark_is_german(
    billed: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    billed.execute(
        "UPDATE plants SET name = ' Roof\r\n| Hall' || chr(8232) || chr(0) || '2' WHERE plant_id = 'a'"
    )
    billed.execute("UPDATE plant_attributes SET plant_group = 'No' || chr(10) || 'rth' WHERE plant_id = 'a'")
    source = "published figures, check against your contract"
    billed.execute("UPDATE billing_units SET price_source = ? WHERE plant_id = 'a'", [source])
    billed.execute("UPDATE billing_units SET price_source = 'mine + yours' WHERE plant_id = 'b'")
    write_pack(billed, OCTOBER, tmp_path / "pack", PackChoice("csv", language="de"))
    monkeypatch.setattr(pack, "SHEETS", ())
    (done,) = write_pack(billed, OCTOBER, tmp_path / "xlsx", PackChoice(language="de", plants=["a"]))
    for name in NAMES:
        lines = (tmp_path / "pack" / f"{name}.csv").read_text("utf-8").split("\n")
        assert {line.count("Roof | Hall 2") for line in lines} <= {0, 1}, name
        assert len(lines) == pl.read_csv(tmp_path / "pack" / f"{name}.csv").height + 2, name
    units = pl.read_csv(tmp_path / "pack" / "billing-units.csv").sort("Anlagen-ID")
    assert units["Gruppe"].to_list()[0] == "No rth"
    said = "veröffentlichte Preise, prüfen Sie sie anhand Ihres Vertrags"
    assert units["Quelle des Preises"].to_list() == [said, "mine + yours", "list 7"]
    assert f"12,50 EUR ({said})" in (done.path.parent / "README.md").read_text("utf-8")


@pytest.mark.long
def test_days_of_excluded_plants_are_in_no_sheet(changed: Connection, tmp_path: Path) -> None:
    changed.execute("UPDATE plants SET excluded_from = '2021-10-02' WHERE plant_id = 'a'")
    changed.execute(
        "INSERT INTO restatements BY NAME SELECT 'a' AS plant_id, unnest([DATE '2021-10-01', DATE '2021-10-02']) AS "
        "local_date, 'pv_generation' AS quantity, 1 AS difference_kwh, 'complete' AS status_before, 'first_answer' AS "
        "cause, false AS closed, published_at AS noted_at, '' AS replaces FROM _meta"
    )
    write_pack(changed, OCTOBER, tmp_path / "pack", CSV)
    for name in ("energy-daily", "set-aside", "restatements"):
        frame = pl.read_csv(tmp_path / "pack" / f"{name}.csv", infer_schema=False)
        assert not frame.filter(pl.col("Plant id") == "a", pl.col("Day") >= "2021-10-02").height, name
    assert "* Restated figures: 1\n" in (tmp_path / "pack" / "README.md").read_text("utf-8")
    whole = pl.read_csv(tmp_path / "pack" / "completeness.csv")
    assert whole.filter(pl.col("Plant id") == "a")["Stored days"].to_list() == [1]


@pytest.mark.long
def test_a_plant_that_moved_is_in_its_group_with_what_has_its_former_id(
    billed: Connection, tmp_path: Path
) -> None:
    """The month was closed before the plant moved, twice since then, and its PU counts under the id of then."""
    billed.execute("UPDATE plants SET migrated_from = 'between' WHERE plant_id = 'a'")
    billed.execute(
        "INSERT INTO plants SELECT * REPLACE ('between' AS plant_id, 'gone' AS migrated_from, 'Old' AS name) "
        "FROM plants WHERE plant_id = 'a'"
    )
    billed.execute("DELETE FROM billing_units WHERE plant_id = 'a'")
    billed.execute("UPDATE energy_monthly SET closed_at = '2021-11-02 00:00:00+00'")
    billed.execute("UPDATE energy_monthly SET plant_id = 'gone' WHERE plant_id = 'a'")
    members = list_members(billed, OCTOBER, ["North"])
    assert members == ["a"]
    write_pack(billed, OCTOBER, tmp_path / "pack", PackChoice("csv", plants=members))
    found = {
        name: pl.read_csv(tmp_path / "pack" / f"{name}.csv") for name in ("energy-monthly", "billing-units")
    }
    for frame in found.values():
        assert frame.select("Plant", "Plant id", "Group").rows() == [("Alpha", "gone", "North")]
    assert found["energy-monthly"].select("Status", "PV generation (kWh)").rows() == [("complete", 50.0)]
    assert found["billing-units"]["Fee (EUR)"].to_list() == [20.25]


def test_a_second_pack_replaces_the_first_and_leaves_nothing_beside(db: Connection, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    write_pack(db, OCTOBER, folder, CSV)
    write_pack(db, OCTOBER, folder, PackChoice("parquet"))
    assert {path.suffix for path in folder.iterdir()} == {".md", ".parquet"}
    assert pl.read_parquet(folder / "energy-monthly.parquet").columns[:3] == [
        "plant_name",
        "plant_id",
        "plant_group",
    ]
    write_pack(db, OCTOBER, folder, PackChoice())
    assert {path.suffix for path in folder.iterdir()} == {".md", ".xlsx"}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_with_something_else_is_not_touched(db: Connection, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds files that no"):
        write_pack(db, OCTOBER, tmp_path, CSV)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_folder_that_is_a_file_is_called_one(db: Connection, tmp_path: Path) -> None:
    (tmp_path / "pack").write_text("mine")
    with pytest.raises(
        UsageError, match="pack is a file, and a pack is a folder of files: choose another --folder"
    ):
        write_pack(db, OCTOBER, tmp_path / "pack", CSV)
    assert (tmp_path / "pack").read_text() == "mine"


def test_a_month_that_the_warehouse_has_not(db: Connection, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither energy nor PU of 2021-09; it has those of 2021-10"):
        write_pack(db, dt.date(2021, 9, 1), tmp_path / "pack", CSV)
    assert list(tmp_path.iterdir()) == []
