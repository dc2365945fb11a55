"""A text that stands alone is a docstring. Elsewhere it is lost, as the end of a message behind its bracket is."""

import ast
from collections.abc import Iterator

from tests.house.test_names import FILES, parse

WITH_DOCSTRING = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def list_lone_texts(tree: ast.Module) -> Iterator[int]:
    """The lines of texts that are statements, and no docstrings."""
    docstrings = {
        id(node.body[0]) for node in ast.walk(tree) if isinstance(node, WITH_DOCSTRING) and node.body
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and id(node) not in docstrings:
            is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            if is_text or isinstance(node.value, ast.JoinedStr):
                yield node.lineno


def test_no_text_is_lost() -> None:
    assert [f"{file}:{line}" for file in FILES for line in list_lone_texts(parse(file))] == []
