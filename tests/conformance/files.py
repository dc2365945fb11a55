"""The suite's files: JSON Lines, one day a line, compressed; and a few worked days in plain JSON."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conformance.draw import TOPICS, Topic, cases
from tests.conformance.expected import record

HERE = Path(__file__).parent
SUITE = HERE / "suite"
WORKED = HERE / "worked.json"


def path_of(topic: Topic) -> Path:
    """The topic's file."""
    return SUITE / f"{topic.name}.jsonl.gz"


def write_lines(topic: Topic) -> Iterator[str]:
    """The topic's days and what is expected of them, a line each."""
    return (json.dumps(record(case), separators=(",", ":")) for case in cases(topic))


def text_of(topic: Topic) -> str:
    """The topic's days and what is expected of them, as the file holds them."""
    return "".join(f"{line}\n" for line in write_lines(topic))


def read(topic: Topic) -> str:
    """The text of the committed file."""
    return gzip.decompress(path_of(topic).read_bytes()).decode()


def days() -> Iterator[dict[str, Any]]:
    """Every day of the suite, the worked ones first."""
    yield from json.loads(WORKED.read_text())
    for topic in TOPICS:
        yield from map(json.loads, read(topic).splitlines())
