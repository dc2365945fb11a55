"""Write the suite's files: `python -m tests.conformance.generate`."""

import gzip
import sys

from tests.conformance.draw import TOPICS
from tests.conformance.files import SUITE, path_of, text_of


def main() -> None:
    """Write every topic; the same bytes each time, on one machine."""
    SUITE.mkdir(exist_ok=True)
    for topic in TOPICS:
        path_of(topic).write_bytes(gzip.compress(text_of(topic).encode(), mtime=0))
        sys.stdout.write(f"{path_of(topic).name}: {topic.days} days\n")


if __name__ == "__main__":
    main()
