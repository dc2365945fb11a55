"""Finds the columns that a column is made from, by the names, formulas and `of` in the models."""

import re
from collections.abc import Collection

from schemas.base import Column, Table, columns, storage

# The column of a raw answer that all measured values come from.
BODY = "body"
COVERED, ENERGY, REST = "_covered_h", "_kwh", "_rest_kwh"
WORD = re.compile(r"\w+")


def trace_columns(
    model: type[Table], parents: Collection[type[Table]]
) -> dict[str, list[tuple[type[Table], str]]]:
    """The columns of `parents` that each column of the model is made from, in the order of both.

    A column is made from the columns with its own name and from those that its `of` or its formula names. Where a
    formula names columns of the same table, their sources count. All other columns of a core table come from the
    answers' body.
    """
    own = {column.name: column for column in columns(model)}
    elsewhere = [(parent, column.name) for parent in parents for column in columns(parent)]
    found = {}
    for column in own.values():
        wanted = _name_sources(column, own, frozenset())
        made = [(parent, name) for parent, name in elsewhere if name in wanted]
        if not made and storage(model).layer == "core":
            made = [(parent, BODY) for parent in parents if storage(parent).layer == "raw"]
        found[column.name] = made
    return found


def _name_sources(column: Column, own: dict[str, Column], seen: frozenset[str]) -> set[str]:
    """Names of columns elsewhere that would be parents of the column."""
    wanted = {column.name, *column.of}
    if column.name.endswith(COVERED):
        wanted.add(column.name.removesuffix(COVERED) + ENERGY)
    if column.name.endswith(ENERGY):
        wanted.add(column.name.removesuffix(ENERGY) + REST)
    for word in set(WORD.findall(column.description)) - {column.name} - seen:
        wanted |= _name_sources(own[word], own, seen | {column.name}) if word in own else {word}
    return wanted
