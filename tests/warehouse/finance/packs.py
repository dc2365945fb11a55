"""What tests of the month's pack share: the month, its files, and the cells of a workbook."""

import datetime as dt
import re
import zipfile
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree

import duckdb

from warehouse.finance.pack import PackChoice
from warehouse.finance.sheets import CHECKED, SHEETS

OCTOBER = dt.date(2021, 10, 1)
NAMES = [sheet.name for sheet in SHEETS if sheet.table != CHECKED]
FILES = {"README.md", "summary.csv", "glossary.csv", *(f"{name}.csv" for name in NAMES)}
CSV = PackChoice("csv")
HOSTILE = """O'Brien"; DROP TABLE plants; --"""
Connection: TypeAlias = duckdb.DuckDBPyConnection
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


class Book:
    """The cells of a workbook: by sheet a list of rows, each with value and formula by column letter."""

    def __init__(self, path: Path) -> None:
        self._book = zipfile.ZipFile(path)
        workbook = ElementTree.fromstring(self._book.read("xl/workbook.xml"))  # noqa: S314 - our own file
        self.names = [found.get("name", "") for found in workbook.iter(f"{MAIN}sheet")]

    def root(self, name: str) -> ElementTree.Element:
        number = self.names.index(name) + 1
        return ElementTree.fromstring(self._book.read(f"xl/worksheets/sheet{number}.xml"))  # noqa: S314

    def rows(self, name: str) -> list[dict[str, tuple[str, str]]]:
        found = []
        for row in self.root(name).iter(f"{MAIN}row"):
            cells = {}
            for cell in row:
                formula = cell.findtext(f"{MAIN}f", "")
                value = cell.findtext(f"{MAIN}v") or "".join(
                    part.text or "" for part in cell.iter(f"{MAIN}t")
                )
                cells[re.sub(r"\d", "", cell.get("r", ""))] = (value, formula)
            found.append(cells)
        return found

    def form(self, name: str, place: str) -> str:
        """The number format of a cell."""
        styles = ElementTree.fromstring(self._book.read("xl/styles.xml"))  # noqa: S314
        forms = {one.get("numFmtId"): one.get("formatCode", "") for one in styles.iter(f"{MAIN}numFmt")}
        (style,) = (
            int(cell.get("s", "0")) for cell in self.root(name).iter(f"{MAIN}c") if cell.get("r") == place
        )
        used = styles.findall(f"{MAIN}cellXfs/{MAIN}xf")[style].get("numFmtId")
        return forms.get(used, "")

    def columns(self, name: str) -> dict[str, str]:
        """The letter of each heading."""
        return {value: letter for letter, (value, _) in self.rows(name)[0].items()}
