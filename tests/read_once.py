"""What is read again and again and never changes while tests run, read once in a process.

Each opening of Dagster's records loads the ninety scripts that could bring older ones forward, and each client of HTTP
the certificates of 140 authorities.
"""

import os
import ssl
from typing import Any

import httpx
from alembic.config import Config
from alembic.script import ScriptDirectory
from httpx._transports import default

_read_scripts = ScriptDirectory.from_config
_scripts: dict[tuple[str | None, str | None], ScriptDirectory] = {}
_make_context = httpx.create_ssl_context
_contexts: list[ssl.SSLContext] = []
# What names others, or has more done with them.
OF_TLS = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def keep_what_is_read() -> None:
    """Have this process, and forks of it, read them once."""
    ScriptDirectory.from_config = _find_scripts  # type: ignore[method-assign]
    httpx.create_ssl_context = default.create_ssl_context = _find_context  # type: ignore[attr-defined]


def _find_scripts(config: Config) -> ScriptDirectory:
    place = (config.config_file_name, config.get_main_option("script_location"))
    if place not in _scripts:
        _scripts[place] = _read_scripts(config)
    return _scripts[place]


def _find_context(*given: Any, **named: Any) -> ssl.SSLContext:
    asked = [*given, *(value for name, value in named.items() if name != "trust_env")]
    if any(one not in (True, None) for one in asked) or any(os.environ.get(name) for name in OF_TLS):
        return _make_context(*given, **named)
    if not _contexts:
        _contexts.append(_make_context())
    return _contexts[0]
