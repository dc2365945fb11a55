"""The publication before, as what the next one starts from: a copy of it, and the lake's files that it was made of.

What it was made of lies beside the published file, with the digest of that file. A copy that has another digest,
because a client or the disk changed the file, is never used, and neither is one that another program, contract or
setting made. The record begins with a digest of its own: of one that was changed nothing is believed.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import polars as pl

from pipeline.common.atomic_files import write_file
from warehouse.publication import PublicationDigest, digest_file

# What is deleted from a DuckDB file leaves room in it. A file that became so much larger is built in full.
MOST_GROWTH = 1.5

# Code that decides what is in a publication.
CODE = ("schemas", "warehouse")
# The files of a table by the names of their columns, in order and with commas between: the rows of each file.
Footers: TypeAlias = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Sources:
    """What a publication was made of.

    `made_by` is a digest of what decides how it is made. `files` has the paths of the lake's files by table. `footers`
    says of each file of a view, by the names of the columns, how many rows it has. `full_bytes` is the size of the last
    publication that was built from nothing.
    """

    made_by: str
    files: dict[str, list[str]]
    footers: dict[str, Footers]
    full_bytes: int = 0


def hash_maker(facts: Iterable[object]) -> str:
    """A digest of all that decides how a publication is made: these facts, the code, and the versions of libraries."""
    known = [duckdb.__version__, pl.__version__, _digest_code(), *map(repr, facts)]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _digest_code() -> str:
    """The version says what a release does; where someone works on the code it stays while the code changes."""
    found = hashlib.sha256()
    for package in CODE:
        for file in sorted(Path(str(files(package))).rglob("*.[ps][yq]*")):
            if file.suffix in {".py", ".sql"}:
                found.update(file.read_bytes())
    return found.hexdigest()


def record_sources(sources: Sources, published: PublicationDigest, target: Path) -> None:
    """Write what a publication was made of, before it is put in the place of `target`. Raises OSError."""
    found = {
        "content": published.content,
        "made_by": sources.made_by,
        "files": sources.files,
        "footers": sources.footers,
        "full_bytes": sources.full_bytes,
    }
    content = json.dumps(found).encode()
    write_file(name_record(target), _digest_record(content) + b"\n" + content)


def take_base(target: Path, file: Path, made_by: str) -> Sources | None:
    """Copy the published file to `file` if the next publication can start from it, and return what it was made of.

    The copy is compared with the digest of the publication, so nothing that happens to the published file meanwhile
    counts. None, and no file, where there is any doubt.
    """
    try:
        digest, _, content = name_record(target).read_bytes().partition(b"\n")
        if digest != _digest_record(content):
            return None
        found: Mapping[str, Any] = json.loads(content)
        sources = Sources(
            found["made_by"], dict(found["files"]), dict(found["footers"]), int(found["full_bytes"])
        )
        if sources.made_by != made_by or target.stat().st_size > MOST_GROWTH * sources.full_bytes:
            return None
        shutil.copyfile(target, file)
        if digest_file(file).content == found["content"]:
            return sources
    except (OSError, ValueError, TypeError, KeyError):
        pass
    file.unlink(missing_ok=True)
    return None


def forget_base(target: Path) -> None:
    """Have the next publication of `target` built from nothing, unless one runs now. Raises OSError."""
    name_record(target.resolve()).unlink(missing_ok=True)


def _digest_record(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def name_record(target: Path) -> Path:
    """Where it is written what a published file was made of."""
    return target.with_name(f".{target.name}.made-of")
