"""The contract with those who query the published file: its tables, views, columns, types and units, with a version.

`python -m warehouse.contract` compares the models with the last released version (`released_contract.csv`). What was
only added since then raises the second number of the version, once; what was taken away, renamed or changed raises
the first one and needs `--breaking`. The present contract is written to `contract.csv` and the changes to
docs/schema-changes.md, which holds the policy too. A second run changes nothing. `--release` makes the present
version the released one.
"""

import csv
import datetime as dt
import re
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TypeAlias

import duckdb

from schemas import TABLES, Table, columns, storage
from warehouse.ddl import create_table
from warehouse.published_file.macros import MACROS, create
from warehouse.published_file.meta import FILE_TABLES
from warehouse.views import load_curated_views

FILE = Path(__file__).with_name("contract.csv")
RELEASED = Path(__file__).with_name("released_contract.csv")
CHANGES = Path(__file__).parents[1] / "docs" / "schema-changes.md"
REMAKE = "python -m warehouse.contract"
HEAD = ["table", "column", "type", "null", "unit"]
VERSIONS = "## Versions\n"
# Where the meaning of a view's column says its unit, and how types are written here.
UNIT = re.compile(r"\bUnit: ([^.]+)\.")
WRITTEN = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}

# Type, null and unit of each (table, column).
Facts: TypeAlias = dict[tuple[str, str], tuple[str, ...]]


def collect_promises() -> Facts:
    """The contract of the published file that follows from the models, views and macros."""
    facts: Facts = {}
    models = (*TABLES, *FILE_TABLES)
    for model in models:
        if storage(model).published != "no":
            for c in columns(model):
                null = "null" if c.nullable else "not null"
                facts[storage(model).table, c.name] = (c.duckdb_type, null, c.unit)
    types = _read_view_types([model for model in models if storage(model).published != "no"])
    for view in load_curated_views():
        for name, meaning in view.columns.items():
            unit = UNIT.search(meaning)
            facts[view.name, name] = (types[view.name, name], "", unit[1] if unit else "")
    return facts | {(macro.signature, ""): ("macro", "", "") for macro in MACROS}


def _read_view_types(models: Sequence[type[Table]]) -> dict[tuple[str, str], str]:
    """The types of the views' columns, as DuckDB makes them of their queries."""
    with duckdb.connect() as database:
        for model in models:
            database.execute(create_table(model))
        for macro in MACROS:
            if not macro.gives_rows:
                database.execute(create(macro)[0])
        for view in load_curated_views():
            database.execute(f"CREATE VIEW {view.name} AS {view.query}")
        columns_of = "SELECT table_name, column_name, data_type FROM duckdb_columns()"
        found = database.execute(columns_of).fetchall()
    return {(table, name): WRITTEN.get(kind, kind) for table, name, kind in found}


def read(file: Path | None = None) -> tuple[tuple[int, int], Facts]:
    """The version and the promises of a committed file, by default of the present version."""
    first, *lines = csv.reader((file or FILE).read_text("utf-8").splitlines())
    major, minor = first[0].removeprefix("# version ").split(".")
    facts = {(table, column): tuple(rest) for table, column, *rest in lines[1:]}
    return (int(major), int(minor)), facts


def format_version(version: tuple[int, int]) -> str:
    """A version as text, such as 1.7."""
    return f"{version[0]}.{version[1]}"


def format_contract(version: tuple[int, int], facts: Facts) -> str:
    """The file's content."""
    out = StringIO()
    write = csv.writer(out, lineterminator="\n")
    write.writerow([f"# version {format_version(version)}"])
    write.writerow(HEAD)
    write.writerows([*key, *rest] for key, rest in facts.items())
    return out.getvalue()


def find_differences(before: Facts, after: Facts) -> tuple[list[str], list[str]]:
    """The additions, and the changes that break queries, each as a line of text; a new table is one line."""
    known = {table for table, _ in before}
    new = [_name(key) if key[0] in known else key[0] for key in after if key not in before]
    added = [f"{name} added" for name in dict.fromkeys(new)]
    gone = [f"{_name(key)} removed" for key in before if key not in after]
    changed = [
        f"{_name(key)}: {' '.join(filter(None, before[key]))} became {' '.join(filter(None, after[key]))}"
        for key in before
        if key in after and before[key] != after[key]
    ]
    return added, gone + changed


def main(arguments: Sequence[str], today: dt.date) -> int:
    """Bring the files up to date. Returns the exit code: 1 for a break that was not confirmed, 2 for wrong usage."""
    if arguments not in ([], ["--breaking"], ["--release"]):
        sys.stderr.write(f"Usage: {REMAKE} [--breaking | --release]\n")
        return 2
    released, before = read(RELEASED)
    after = collect_promises()
    added, breaking = find_differences(before, after)
    # A break is confirmed once: the present file says which ones were.
    _, confirmed = find_differences(before, read()[1])
    new = [line for line in breaking if line not in confirmed]
    if new and arguments != ["--breaking"]:
        lines = "".join(f"  {line}\n" for line in new)
        sys.stderr.write(
            f"Queries that worked would fail or change:\n{lines}"
            f"Keep the old column beside the new one, or confirm by '{REMAKE} --breaking'.\n"
        )
        return 1
    version = _find_next(released, added=bool(added), breaking=bool(breaking))
    FILE.write_text(format_contract(version, after), "utf-8")
    if version != released:
        changes = CHANGES.read_text("utf-8")
        CHANGES.write_text(_add_entry(changes, version, breaking + added, today), "utf-8")
    if arguments == ["--release"]:
        RELEASED.write_text(FILE.read_text("utf-8"), "utf-8")
    return 0


def _find_next(released: tuple[int, int], *, added: bool, breaking: bool) -> tuple[int, int]:
    """The version after the released one; the same where nothing differs."""
    major, minor = released
    if breaking:
        return major + 1, 0
    return (major, minor + 1) if added else released


def _add_entry(changes: str, version: tuple[int, int], lines: Sequence[str], today: dt.date) -> str:
    """The list of changes with an entry of the version, and in it a line for each change that it does not name yet."""
    policy, _, versions = changes.partition(VERSIONS)
    entries = versions.split("\n### ")[1:]
    head = f"{format_version(version)} ("
    if not (entries and entries[0].startswith(head)):
        entries.insert(0, f"{head}{today})\n\n")
    entries[0] += "".join(f"* {line}\n" for line in lines if not _is_named(line, entries[0]))
    return policy + VERSIONS + "".join(f"\n### {entry}" for entry in entries)


def _is_named(line: str, entry: str) -> bool:
    """Whether the entry names what the line is about, in whatever words; a break has a line of its own."""
    name = line.removesuffix(" added")
    return re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", entry) is not None


def _name(key: tuple[str, str]) -> str:
    return ".".join(filter(None, key))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], dt.datetime.now(dt.UTC).date()))
