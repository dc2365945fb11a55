"""The run's context is read by steps and written by nobody but who starts the run."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pipeline.run.context as context_module
from pipeline.run.notices import MissingItem, Notices

PRODUCT = Path(context_module.__file__).parents[2]
# The command line starts runs: it says before each part whose bars show its progress.
STARTERS = PRODUCT / "pipeline" / "cli"
# A call of these is their work, whatever its name is: `lake.append` writes to a table.
SERVICES = {"allowance", "lake", "progress", "requests", "session"}
CHANGING = {"add", "append", "clear", "discard", "extend", "pop", "remove", "setdefault", "update"}
NAMES = {"runtime", "sunledger_runtime"}
FILES = [
    path
    for room in ("assets", "pipeline")
    for path in sorted((PRODUCT / room).rglob("*.py"))
    if STARTERS not in path.parents
]


def written(tree: ast.AST) -> Iterator[str]:
    """What the code assigns to, deletes of, or changes in anything that is called a runtime."""
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign | ast.Delete):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            is_service = isinstance(owner, ast.Attribute) and owner.attr in SERVICES
            targets = [owner] if node.func.attr in CHANGING and not is_service else []
        for target in targets:
            inner = target.value if isinstance(target, ast.Subscript) else target
            if isinstance(inner, ast.Attribute) and ast.unparse(inner.value).split(".")[-1] in NAMES:
                yield ast.unparse(node)


@pytest.mark.parametrize(
    "code",
    [
        "runtime.again = True",
        "sunledger_runtime.again = True",
        "self.runtime.again = True",
        "runtime.count += 1",
        "runtime.missing.append(one)",
        "runtime.listed[1] = 2",
        "runtime.unknown.setdefault(1, set()).update(two)",
    ],
)
def test_a_step_that_writes_is_found(code: str) -> None:
    assert list(written(ast.parse(code)))


@pytest.mark.long
def test_no_step_writes_to_the_context() -> None:
    found = {
        str(path.relative_to(PRODUCT)): list(written(ast.parse(path.read_text("utf-8")))) for path in FILES
    }
    assert {path: code for path, code in found.items() if code} == {}


def test_what_is_missing_twice_is_told_once_and_one_step_s_doubles_stay() -> None:
    one, other = MissingItem("2025-05-05", "raw_pv", "1", "x"), MissingItem("2025-05-06", "raw_pv", "1", "x")
    found = Notices.of([one])
    found.add(Notices.of([one, other], unknown_fields={"raw_pv": ["a"], "raw_grid": []}, odd_facts=2))
    found.add(Notices.of(unknown_fields={"raw_pv": ["b"]}, odd_facts=1))
    assert found == Notices([one, other], {"raw_pv": {"a", "b"}}, 3)
    found.add(Notices.of([MissingItem("2025-05-07", "raw_pv", "1", "y")] * 2))
    assert len(found.missing) == 4
