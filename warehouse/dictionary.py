"""The data dictionary: every table, column and curated view as Markdown, made from the models.

`python -m warehouse.dictionary` writes docs/data-dictionary.md; `--check` says whether that file is up to date
and exits with code 1 if it is not.
"""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from schemas import TABLES, Column, Table, columns, comment, storage
from schemas.base import FINITE
from warehouse.ddl import NO_KEY
from warehouse.published_file.macros import MACROS
from warehouse.published_file.meta import FILE_TABLES
from warehouse.views import CuratedView, load_curated_views

FILE = Path(__file__).parents[1] / "docs" / "data-dictionary.md"
REMAKE = "python -m warehouse.dictionary"

LAYERS = {
    "report": (
        "Report tables",
        "Report tables are small and ready for reports. The published file holds a copy of each.",
    ),
    "core": (
        "Core tables",
        "Core tables hold the content of SMA's answers in columns, with the details of each interval.",
    ),
    "raw": (
        "Raw tables",
        "Raw tables hold SMA's answers as received. They stay in the lake and are not published.",
    ),
}
PUBLISHED = {
    "native": "as a table",
    "view": "as a view over the lake's Parquet files",
    "no": "not at all (lake only)",
}
VIEWS = """Answers to common questions, in the published file only. Of those that read small tables it holds the
rows, so that they are as fast as a table made for the question; the others are views."""
INTRODUCTION = f"""# Data dictionary

`{REMAKE}` generates this page from `schemas/` and `warehouse/views/`: change those files instead.

Times are UTC (`TIMESTAMPTZ`) unless a column says plant-local. A `local_date` is a calendar day in the plant's own
time zone. Energy is kWh, power is W, and both are never negative. **Null is never zero**: it says that nothing was
measured or given, and each column says which. An energy stands beside the time that it covers: read the two
together.

What a name ends with is its unit: `_w` W, `_kw` kW, `_kwh` kWh, `_h` hours, `_min` minutes, `_ms` milliseconds,
`_pct` %, `_g_per_kwh` g/kWh, `_kwh_per_kw` kWh/kW, `_kwh_per_m2` kWh/m², `_kg` kg; `n_` begins a count, `_rate` and
`coverage` are shares from 0 to 1.
"""

_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"greater_than_or_equal_to\((.+)\)"), lambda rule: f"≥ {rule[1]}"),
    (re.compile(r"less_than_or_equal_to\((.+)\)"), lambda rule: _format_limit(rule[1])),
    (re.compile(r"isin\(\[(.+)\]\)"), lambda rule: f"one of {rule[1].replace(chr(39), '`')}"),
)


def describe_tables(models: Iterable[type[Table]], views: Iterable[CuratedView] = ()) -> str:
    """The dictionary of these tables, by layer, and of these views."""
    by_layer: dict[str, list[type[Table]]] = {layer: [] for layer in LAYERS}
    for model in models:
        by_layer[storage(model).layer].append(model)
    parts = [INTRODUCTION]
    for layer, members in by_layer.items():
        if members:
            title, text = LAYERS[layer]
            parts += [f"## {title}\n\n{text}\n", *map(_describe_table, members)]
    described = [_describe_view(view) for view in views]
    if described:
        parts += [f"## Curated views\n\n{VIEWS}\n", *described]
    return "\n".join(parts)


def write_document() -> str:
    """The whole of docs/data-dictionary.md."""
    return describe_tables((*TABLES, *FILE_TABLES), load_curated_views()) + _describe_macros()


def main(arguments: Sequence[str]) -> int:
    """Write the file, or with `--check` compare it. Returns the exit code: 1 when it differs, 2 for wrong usage."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write(f"Usage: {REMAKE} [--check]\n")
        return 2
    text = write_document()
    if not arguments:
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(text, "utf-8")
        return 0
    if FILE.is_file() and FILE.read_text("utf-8") == text:
        return 0
    sys.stderr.write(f"docs/{FILE.name} does not say what the models say: run '{REMAKE}' and commit it.\n")
    return 1


def _describe_table(model: type[Table]) -> str:
    kept = storage(model)
    facts = [
        f"Key: {_format_names(kept.key)}" if kept.key else NO_KEY.removesuffix("."),
        f"partitioned by {_format_names(kept.partition)}" if kept.partition else "replaced as a whole",
        f"published {PUBLISHED[kept.published]}",
    ]
    if model in FILE_TABLES:
        facts[1:] = ["made by the publication; the lake has none"]
    head = "| column | type | unit | meaning | null means | rules |\n|---|---|---|---|---|---|"
    rows = [head, *(_describe_column(column) for column in columns(model))]
    return f"### `{kept.table}`\n\n{comment(model)}\n\n{'; '.join(facts)}.\n\n" + "\n".join(rows) + "\n"


def _describe_column(column: Column) -> str:
    return _format_row(
        f"`{column.name}`",
        column.duckdb_type,
        column.unit,
        column.description,
        column.null or "never null",
        "; ".join(filter(None, map(_describe_rule, column.rules))),
    )


def _describe_view(view: CuratedView) -> str:
    rows = [
        "| column | meaning |\n|---|---|",
        *(_format_row(f"`{name}`", text) for name, text in view.columns.items()),
    ]
    return f"### `{view.name}`\n\n{view.comment}\n\n" + "\n".join(rows) + "\n"


def _describe_macros() -> str:
    rows = ["| macro | gives |", "|---|---|", *(_format_row(f"`{m.signature}`", m.comment) for m in MACROS)]
    return "\n## Macros\n\nFunctions of the published file.\n\n" + "\n".join(rows) + "\n"


def _format_row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _format_names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _describe_rule(rule: str) -> str:
    """A check as people write it; pandera's own words where there is no shorter form."""
    for pattern, written in _RULES:
        if found := pattern.fullmatch(rule):
            return written(found)
    return rule


def _format_limit(limit: str) -> str:
    return "finite" if float(limit) == FINITE else f"≤ {limit}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
