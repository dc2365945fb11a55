"""Links from each asset to what is written about it: its entry of the data dictionary, and the model of its table."""

import inspect
import re
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import dagster as dg

from assets.asset_builders import MODELS
from schemas import Table

ROOT = Path(__file__).resolve().parents[1]
DICTIONARY = "docs/data-dictionary.md"
# For everything that is not a table of the dictionary.
PAGES = {"warehouse": "docs/bi.md", "postgresql_tables": "docs/bi.md", "monthly_report": "docs/reports.md"}


def add_links(assets: Iterable[dg.AssetsDefinition], docs_url: str) -> list[dg.AssetsDefinition]:
    """The assets with links: to the web where `docs_url` says that docs/ is there, and to files of this checkout."""
    lines = _find_entries()

    def link(spec: dg.AssetSpec) -> dg.AssetSpec:
        name = spec.key.path[-1]
        page = PAGES.get(name, DICTIONARY)
        address = f"{docs_url.rstrip('/')}/{Path(page).name}{'' if name in PAGES else f'#{name}'}"
        docs = dg.MetadataValue.url(address) if docs_url else dg.MetadataValue.path(page)
        files = [(ROOT / page, lines.get(name, 1)), *_locate_source(MODELS.get(name))]
        references = dg.CodeReferencesMetadataValue(
            code_references=[
                dg.LocalFileCodeReference(file_path=str(path), line_number=line, label=path.name)
                for path, line in files
                if path.exists()
            ]
        )
        return spec.merge_attributes(metadata={"docs": docs, "dagster/code_references": references})

    with warnings.catch_warnings():
        # Delete when code references leave beta.
        warnings.filterwarnings("ignore", ".*CodeReference.* is currently in beta", dg.BetaWarning)
        return list(dg.map_asset_specs(link, assets))


def _find_entries() -> dict[str, int]:
    """The line at which each table's entry of the dictionary begins; empty where docs/ is not installed."""
    file = ROOT / DICTIONARY
    lines = file.read_text().splitlines() if file.exists() else []
    return {line[5:-1]: number for number, line in enumerate(lines, 1) if line.startswith("### `")}


def _locate_source(model: type[Table] | None) -> Iterator[tuple[Path, int]]:
    if model is not None:
        path = Path(inspect.getfile(model))
        yield path, _find_classes(path).get(model.__name__, 1)


@cache
def _find_classes(path: Path) -> dict[str, int]:
    """The line of each class of a module. `inspect.getsourcelines` parses the whole module for each of them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    heads = ((re.match(r"class (\w+)", line), number) for number, line in enumerate(lines, 1))
    return {head[1]: number for head, number in heads if head}
