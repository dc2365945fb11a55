"""SECURITY.md and docs/reliability.md name the code and the tests that hold each promise: each of them is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"`((?:assets|pipeline|sandbox|warehouse)/[^` ]+)`")
TEST = re.compile(r"`(tests/[^` ]+)`")


def is_there(name: str) -> bool:
    """Whether the file is there, and in it the function that is named behind ::."""
    file, _, function = name.partition("::")
    path = ROOT / file
    return path.exists() and (not function or f"def {function}(" in path.read_text())


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/reliability.md"])
def test_all_that_is_named_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    named = [*TEST.findall(text), *CODE.findall(text)]
    assert named
    assert [name for name in named if not is_there(name)] == []
    assert f"({page})" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("page", "first", "column"), [("SECURITY.md", "| what |", 3), ("docs/reliability.md", "| guarantee |", 2)]
)
def test_each_promise_names_its_code_and_its_test(page: str, first: str, column: int) -> None:
    _, _, table = (ROOT / page).read_text().partition(f"\n{first}")
    promises = [line.strip("|").split(" | ") for line in table.partition("\n\n")[0].splitlines()[2:]]
    assert len(promises) > 10
    for cells in promises:
        assert len(cells) == column + 2, cells
        assert CODE.search(cells[column]), cells
        assert TEST.search(cells[column + 1]) or "`make torture`" in cells[column + 1], cells
