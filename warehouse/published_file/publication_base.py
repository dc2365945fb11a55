"""The publication before, as what the next one starts from: a copy of it, and the lake's files that it was made of.

What it was made of lies beside the published file, with the digest of that file. A copy that has another digest,
because a client or the disk changed the file, is never used, and neither is one that another program, contract or
setting made. The record begins with a digest of its own: of one that was changed nothing is believed.

Where the next one would be made of the same, the file stays as it is: no reader has to open it again, and no store gets
it again.
"""

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import polars as pl

from pipeline.common.files.atomic_files import write_file
from warehouse.published_file.publication import PublicationDigest, digest_file, read_publications

# What is deleted from a DuckDB file leaves room in it. A file that became so much larger is built in full. A small one
# may grow by so many bytes: its first change takes as much room as it has, and later ones take that again.
MOST_GROWTH, SMALL_GROWTH = 1.5, 16 * 2**20

# Code that decides what is in a publication.
CODE = ("schemas", "warehouse")
# The files of a table by the names of their columns, in order and with commas between: the rows of each file.
Footers: TypeAlias = dict[str, dict[str, int]]


# Reports expect the days of a month that began this long before the publication, by its time in the file.
DUE_AFTER = dt.timedelta(hours=38)


@dataclass(frozen=True, slots=True)
class PublicationInputs:
    """All that goes into a publication, beside the rows of the lake's files, which no file changes.

    `made_by` is a digest of what decides how it is made. `files` has the paths of the lake's files by table, `versions`
    their tables' versions. `own` is a digest of the user's own tables (None: they can't be read), `last_due_day` the
    last day that is expected to be there.
    """

    made_by: str
    files: dict[str, list[str]]
    versions: dict[str, int]
    own: str | None
    last_due_day: str


@dataclass(frozen=True, slots=True)
class Sources:
    """What a publication was made of, and what was found in that.

    `footers` says of each file of a view, by the names of the columns, how many rows it has. `clocks` is a digest of
    the table `_clocks`, which was made of `zones`. `rows` has the rows of each table, and `left_out` the user's own
    tables that do not fit, each with the reason. `full_bytes` is the size of the last publication that was built from
    nothing.
    """

    inputs: PublicationInputs
    footers: dict[str, Footers]
    zones: list[str]
    clocks: str
    rows: dict[str, int]
    left_out: list[list[str]]
    full_bytes: int = 0


def find_last_due_day(now: dt.datetime) -> str:
    """The last day, in UTC, that a publication at `now` (with time zone) is expected to have."""
    return str((now.astimezone(dt.UTC) - DUE_AFTER).date())


def hash_maker(facts: Iterable[object]) -> str:
    """A digest of all that decides how a publication is made: these facts, the code, and the versions of libraries."""
    known = [duckdb.__version__, pl.__version__, _digest_code(CODE), *map(repr, facts)]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


@cache
def _digest_code(packages: Iterable[str]) -> str:
    """The version says what a release does; where someone works on the code it stays while the code changes."""
    found = hashlib.sha256()
    for package in packages:
        for file in sorted(Path(str(files(package))).rglob("*.[ps][yq]*")):
            if file.suffix in {".py", ".sql"}:
                found.update(file.read_bytes())
    return found.hexdigest()


def record_sources(sources: Sources, published: PublicationDigest, target: Path) -> None:
    """Write what a publication was made of, before it is put in the place of `target`. Raises OSError."""
    found = {
        "content": published.content,
        **_list_fields(sources),
        "inputs": _list_fields(sources.inputs),
    }
    content = json.dumps(found).encode()
    write_file(name_record(target), _digest_record(content) + b"\n" + content)


@dataclass(frozen=True, slots=True)
class RecordedBase:
    """A publication that was recorded: the digest of its file, and what it was made of."""

    content: str
    sources: Sources

    def find_unchanged(self, target: Path, inputs: PublicationInputs) -> PublicationDigest | None:
        """The digests of the file at `target` if it is this publication, and one of these inputs would be equal.

        This reads the whole file, also where the file system says that nothing touched it. None where there is any
        doubt.
        """
        if inputs.own is None or self.sources.inputs != inputs:
            return None
        newest = read_publications(target)[:1]
        if not newest or newest[0].content != self.content:
            return None
        try:
            return newest[0] if digest_file(target) == newest[0] else None
        except OSError:
            return None


def read_last_base(target: Path) -> RecordedBase | None:
    """The publication that was put in the place of `target` last; None where its record can't be believed."""
    try:
        digest, _, content = name_record(target.resolve()).read_bytes().partition(b"\n")
        if digest != _digest_record(content):
            return None
        found = json.loads(content)
        recorded = found.pop("content")
        sources = Sources(**{**found, "inputs": PublicationInputs(**found["inputs"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return RecordedBase(recorded, sources)


def read_base(target: Path, made_by: str) -> RecordedBase | None:
    """The publication that the next one may start from; None where nothing is recorded that can be believed."""
    found = read_last_base(target)
    return found if found and found.sources.inputs.made_by == made_by else None


def take_base(target: Path, file: Path, recorded: RecordedBase | None) -> Sources | None:
    """Copy the published file to `file` if the next publication can start from it, and return what it was made of.

    The copy is compared with the digest of the publication, so nothing that happens to the published file meanwhile
    counts. None, and no file, where there is any doubt.
    """
    try:
        if recorded is None or target.stat().st_size > _find_most_bytes(recorded.sources.full_bytes):
            return None
        shutil.copyfile(target, file)
        if digest_file(file).content == recorded.content:
            return recorded.sources
    except OSError:
        pass
    file.unlink(missing_ok=True)
    return None


def _find_most_bytes(full: int) -> float:
    return max(MOST_GROWTH * full, full + SMALL_GROWTH)


def forget_base(target: Path) -> None:
    """Have the next publication of `target` built from nothing, unless one runs now. Raises OSError."""
    name_record(target.resolve()).unlink(missing_ok=True)


def _list_fields(record: PublicationInputs | Sources) -> dict[str, Any]:
    """The fields as they are: `asdict` would copy each of some thousand paths."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _digest_record(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def name_record(target: Path) -> Path:
    """Where it is written what a published file was made of."""
    return target.with_name(f".{target.name}.made-of")
