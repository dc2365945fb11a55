"""What can go wrong, as types. Imports nothing from the house, so that every room may raise and catch them.

`str(error)` is what a person reads: what happened, to what, and what to do now. It never holds a secret, a
token or an e-mail address. `exit_code` is the exit code of a command that it ends: 1 failed, 2 wrong usage.
"""

from typing import ClassVar


class SunledgerError(Exception):
    """Any failure that the user sees as a sentence instead of a traceback."""

    exit_code: ClassVar[int] = 1


class UsageError(SunledgerError):
    """The request itself is wrong: wrong dates, an unknown plant, a bad option."""

    exit_code: ClassVar[int] = 2


class ConfigurationError(UsageError):
    """A setting is missing or wrong."""


class ClockApartError(UsageError):
    """This machine's clock and SMA's are apart: days would be taken as over, or a month's PU for those of another."""


class SmaError(SunledgerError):
    """A call of an SMA service did not give a usable answer.

    `method` and `path` say which call (without host and query), `status` is the HTTP status, or None when no
    answer came at all. `transient` says whether the same call may succeed later.
    """

    transient: bool = False

    def __init__(
        self, message: str, *, method: str = "GET", path: str = "", status: int | None = None
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.status = status


class PermanentError(SmaError):
    """Asking again changes nothing: 400, 403, 404, a body beyond the limit, a redirect to a stranger."""


class TransientError(SmaError):
    """408, 429, 5xx or a transport fault, still there after the last try."""

    transient = True


class NotYetAvailable(SmaError):  # noqa: N818 - reads as the state it reports
    """SMA says that the answer is not there yet (202, 204, 425): the next run asks again, this one does not wait."""

    transient = True


class ConsentMissing(SmaError):  # noqa: N818 - reads as the state it reports
    """SMA lists no plant: no owner has consented, the consents were withdrawn, or the user owns none."""


class CredentialsError(PermanentError):
    """The token endpoint refused the client: wrong id or secret, wrong flow, dead refresh token."""


class CredentialUnusableError(PermanentError):
    """One of several credentials can't be used: its plants are not asked for, those of the others are."""
