"""What is read again and again and never changes while tests run, read once in a process.

Each client of HTTP loads the certificates of 140 authorities. Dagster's scripts are read once by the program too, but
not by tests that open its records without a home of ours.
"""

import os
import ssl
from typing import Any

import httpx
from httpx._transports import default

from assets.kept_revisions import keep_revisions

_make_context = httpx.create_ssl_context
_contexts: list[ssl.SSLContext] = []
# What names others, or has more done with them.
OF_TLS = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def keep_what_is_read() -> None:
    """Have this process, and forks of it, read them once."""
    keep_revisions()
    httpx.create_ssl_context = default.create_ssl_context = _find_context  # type: ignore[attr-defined]


def _find_context(*given: Any, **named: Any) -> ssl.SSLContext:
    asked = [*given, *(value for name, value in named.items() if name != "trust_env")]
    if any(one not in (True, None) for one in asked) or any(os.environ.get(name) for name in OF_TLS):
        return _make_context(*given, **named)
    if not _contexts:
        _contexts.append(_make_context())
    return _contexts[0]
