"""What is remembered of every single HTTP request, whatever became of it. Holds no header, body, address or token."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from pipeline.sma.requests import Request

# Why a try has no complete answer, where the transport is not to blame.
GIVEN_UP = "the run ended before SMA answered"
TOO_LARGE = "the answer was larger than the limit"

# Requests that ask for no data, by how their path begins. A path may end with an owner's e-mail address.
_SERVICES = {"/oauth2/token": "token", "/oauth2/logout": "logout", "/oauth2/v2/bc-authorize": "consent"}


@dataclass(frozen=True, slots=True)
class LoggedTry:
    """One HTTP request that was sent.

    `request` says what data was asked for, `endpoint` which kind of it, or which other service; `request` and
    `attempt` are None for those. `attempt` counts the tries of the same request from 1, those with a renewed token
    or at another address included. `status` is None, and `error` says why, when no complete answer came. `size` is
    that of the body in bytes, decompressed.
    """

    asked_at: dt.datetime
    endpoint: str
    request: Request | None
    attempt: int | None
    status: int | None
    error: str | None
    size: int
    elapsed_ms: float


Record: TypeAlias = Callable[[LoggedTry], None]


def forget(_: LoggedTry) -> None:
    """Record nothing."""


def name_service(path: str) -> str:
    """The service that a path without data belongs to: a plain word."""
    return next((name for start, name in _SERVICES.items() if path.startswith(start)), "other")
