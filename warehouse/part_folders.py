"""Parts of a table and the folders that name them: `local_date=2026-07-01`, or none where a table is replaced whole."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import TypeAlias
from urllib.parse import unquote

import polars as pl

from schemas import Table, storage

Part: TypeAlias = Mapping[str, dt.date | str]
PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def cut_table_path(model: type[Table], uri: str) -> str:
    """A file's path inside the model's table."""
    # Local paths come as the paths of URLs. Names of parts and files need no quotes either way.
    return unquote(uri).rpartition(f"/{storage(model).table}/")[2]


def name_folders(model: type[Table], part: Part) -> str:
    """The folders of a part; none for all of the table.

    Its values stand in paths, so they are plain words: our own dates and table names. Raises ValueError for others.
    """
    for name, value in part.items():
        if not PLAIN.fullmatch(str(value)):
            raise ValueError(f"{name}={value!r} cannot name a part: use letters, digits, '_' and '-'.")
    return "/".join(f"{name}={part[name]}" for name in storage(model).partition if name in part)


def find_part(path: str, schema: pl.Schema) -> dict[str, dt.date | str]:
    """As `parse_part`; nothing for a path that no table of ours has, as a damaged log may name one."""
    try:
        return parse_part(path, schema)
    except (KeyError, ValueError):
        return {}


def parse_part(path: str, schema: pl.Schema) -> dict[str, dt.date | str]:
    """The values of the part that a file belongs to, from its folders."""
    texts = dict(folder.split("=", 1) for folder in path.split("/")[:-1])
    return {n: dt.date.fromisoformat(v) if schema[n] == pl.Date else v for n, v in texts.items()}


def find_folder(path: str) -> str:
    """The folder of a file, which names its part; empty in a table that is replaced whole."""
    return path.rpartition("/")[0]
