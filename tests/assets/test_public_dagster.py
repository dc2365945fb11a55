"""No module, test or file of ours names what Dagster keeps to itself: its releases may change that at any time."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("assets", "bench", "deploy", "pipeline", "sandbox", "schemas", "tests", "warehouse")
PRIVATE = re.compile(r"\bdagster\w*(\.\w+)*\._[a-z]\w*")
# A dagster.yaml names classes by their modules, and this one of Dagster's has no public module.
ONLY_NAME = "dagster._core.storage.noop_compute_log_manager"


def private_names(source: str) -> Iterator[str]:
    """What a module imports of Dagster's, or names in a text, that begins with an underscore."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]
        else:
            continue
        yield from (found[0] for name in names if name != ONLY_NAME for found in PRIVATE.finditer(name))


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_private_of_dagster_is_named(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    found = {str(file.relative_to(ROOT)): list(private_names(file.read_text())) for file in files}
    assert {file: names for file, names in found.items() if names} == {}
    others = [file for end in ("yaml", "yml", "toml", "service") for file in (ROOT / room).rglob(f"*.{end}")]
    assert [file for file in others if PRIVATE.search(file.read_text().replace(ONLY_NAME, ""))] == []


@pytest.mark.parametrize(
    "source",
    [
        "import dagster.{}core.events",
        "from dagster.{}core.events import DagsterEventType",
        "from dagster import {}check as check",
        "def load():\n    from dagster_shared.{}model import x",
        "COMMAND = [PYTHON, '-m', 'dagster.{}daemon', 'run']",
    ],
)
def test_what_is_private_is_found(source: str) -> None:
    # The underscore is put in here, so that this file needs no exception from the check.
    assert list(private_names(source.format("_")))
