"""Transforms give the same frames for the same frames: none of them asks a clock."""

import ast

from tests.house.test_names import FILES, parse


def test_no_transform_asks_a_clock() -> None:
    transforms = [file for file in FILES if "transform" in file.parts]
    asking = [
        f"{file}:{node.lineno}"
        for file in transforms
        for node in ast.walk(parse(file))
        if isinstance(node, ast.Attribute) and node.attr in {"now", "today", "utcnow"}
    ]
    assert len(transforms) > 30
    assert asking == []
