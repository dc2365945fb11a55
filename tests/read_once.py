"""What is read again and again and never changes while tests run, read once in a process.

Each client of HTTP loads the certificates of 140 authorities. Dagster's scripts are read once by the program too, but
not by tests that open its records without a home of ours.
"""

import os
import ssl
from pathlib import Path
from typing import Any

import httpx
from httpx._transports import default

from assets.dagster_records.kept_revisions import keep_revisions

_make_context = httpx.create_ssl_context
_contexts: dict[tuple[object, ...], ssl.SSLContext] = {}
# What names other authorities, and what has more done with a connection.
AUTHORITIES, KEYS = ("SSL_CERT_FILE", "SSL_CERT_DIR"), "SSLKEYLOGFILE"


def keep_what_is_read() -> None:
    """Have this process, and forks of it, read them once."""
    keep_revisions()
    httpx.create_ssl_context = default.create_ssl_context = _find_context  # type: ignore[attr-defined]


def _find_context(*given: Any, **named: Any) -> ssl.SSLContext:
    asked = [*given, *(value for name, value in named.items() if name != "trust_env")]
    if any(one not in (True, None) for one in asked) or os.environ.get(KEYS):
        return _make_context(*given, **named)
    places = (named.get("trust_env", True), *(_describe_place(os.environ.get(name)) for name in AUTHORITIES))
    if places not in _contexts:
        _contexts[places] = _make_context(*given, **named)
    return _contexts[places]


def _describe_place(named: str | None) -> object:
    """What becomes another one where the file or the folder does; machines name theirs for all programs."""
    if not named or not Path(named).exists():
        return named
    about = Path(named).stat()
    return named, about.st_mtime_ns, about.st_size
