"""What an object store that can't be used means, in a sentence with its cure: libraries say it in many lines each.

The libraries raise OSError for these faults as for those of a disk. They must not be taken for damage of the lake, so
they become errors of their own, which are no OSError.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, NamedTuple

from pipeline.common.errors import ConfigurationError, SunledgerError


class StoreError(SunledgerError):
    """An object store did not do what was asked of it."""

    transient: ClassVar[bool] = False


class StoreUnavailableError(StoreError):
    """The store can't be reached or has a fault of its own: the same may succeed later."""

    transient = True


class StoreRefusedError(StoreError, ConfigurationError):
    """The store refuses what the settings say: asking again changes nothing."""


class _Cause(NamedTuple):
    pattern: re.Pattern[str]
    clause: str
    kind: type[StoreError]


def _cause(pattern: str, clause: str, kind: type[StoreError]) -> _Cause:
    return _Cause(re.compile(pattern, re.IGNORECASE), clause, kind)


# The first that fits counts. The words are those of the Rust crate `object_store`, of S3, and of systems.
_CAUSES = (
    _cause(
        r"169\.254\.169\.254|169\.254\.170\.2|instance credentials|missing credentials|no credentials",
        "can't be used without credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a "
        "role (profiles of ~/.aws are not read)",
        StoreRefusedError,
    ),
    _cause(
        r"URL scheme is not allowed|BadScheme",
        "would be asked over http, which is not encrypted: use an https address in AWS_ENDPOINT_URL, or set "
        "AWS_ALLOW_HTTP=true",
        StoreRefusedError,
    ),
    _cause(
        r"configured region|PermanentRedirect|AuthorizationHeaderMalformed|region '?[\w-]+'? is wrong",
        "has this bucket in another region: set AWS_REGION to the region of the bucket",
        StoreRefusedError,
    ),
    _cause(
        r"NotImplemented|\b501 ",
        "has no conditional puts (If-None-Match: *), without which two runs that write at once lose rows: use a store "
        "that has them, as S3, MinIO and Ceph do in their present versions",
        StoreRefusedError,
    ),
    _cause(
        r"RequestTimeTooSkewed",
        "says that the clock of this machine is wrong: set it",
        StoreRefusedError,
    ),
    _cause(
        r"QuotaExceeded|InsufficientStorage|XMinioStorageFull|\b507 ",
        "is full: free some space there or raise the quota",
        StoreRefusedError,
    ),
    _cause(
        r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|ExpiredToken|InvalidToken|necessary privileges"
        r"|\b40[13] (?:Unauthorized|Forbidden)|Unauthenticated|PermissionDenied|valid authentication credentials",
        "refuses these credentials: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, and that the "
        "key may list, read, write and delete in the bucket",
        StoreRefusedError,
    ),
    _cause(
        r"NoSuchBucket|InvalidBucketName|bucket does not exist|Bucket .* not found",
        "has no such bucket: check SUNLEDGER_LAKE and AWS_ENDPOINT_URL, or make the bucket",
        StoreRefusedError,
    ),
    _cause(
        r"certificate|UnknownIssuer",
        "has a certificate that this machine does not trust: check AWS_ENDPOINT_URL, or add the issuer to the "
        "certificates of this machine",
        StoreRefusedError,
    ),
    _cause(
        r"dns error|failed to lookup address|Name or service not known|name resolution",
        "has a host name that can't be found: check AWS_ENDPOINT_URL, AWS_REGION and the network, then run it again",
        StoreUnavailableError,
    ),
    _cause(
        r"Connection refused|connect error|error sending request|connection closed|connection reset|timed out"
        r"|(?<!_)timeout|error decoding response body|end of file",
        "can't be reached: check AWS_ENDPOINT_URL and the network, then run it again",
        StoreUnavailableError,
    ),
    _cause(
        r"\b(?:50[0234]|429|408) |SlowDown|InternalError|ServiceUnavailable|after \d+ retries",
        "has a fault or too much to do: run it again later",
        StoreUnavailableError,
    ),
)
_STORE = re.compile(
    r"Generic \{?(?:S3|MicrosoftAzure|GCS|HTTP)|Error performing (?:GET|PUT|HEAD|POST|DELETE|list)|S3 error"
    r"|NoSuchBucket"
)
# Of stores that are not S3, as the libraries name them.
_VARIABLES = {
    "MicrosoftAzure": "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
    "GCS": "GOOGLE_APPLICATION_CREDENTIALS",
}
_ADDRESS = re.compile(r"https?://([^/\s?]+)")
_LOCAL_SERVICES = re.compile(r"169\.254\.")


def find_store_error(fault: BaseException) -> StoreError | None:
    """The error of an object store that a fault is about, itself or by its causes; None where it is about none."""
    said = []
    for cause in list_causes(fault):
        if isinstance(cause, StoreError):
            return cause
        said.append(str(cause))
    return build_store_error(" | ".join(said))


def build_store_error(said: str) -> StoreError | None:
    """The error that a text of a library means; None where the text is about no object store."""
    if not _STORE.search(said):
        return None
    found = _ADDRESS.search(said)
    named = found is not None and not _LOCAL_SERVICES.match(found[1])
    place = (
        f"The object store at {found[1].rpartition('@')[2]}"
        if found and named
        else "The object store of SUNLEDGER_LAKE"
    )
    for cause in _CAUSES:
        if cause.pattern.search(said):
            return cause.kind(
                f"{place} {_name_variables(cause.clause, said)}. What was stored before is unchanged."
            )
    return StoreError(
        f"{place} did not do what was asked of it: check its log, AWS_ENDPOINT_URL and SUNLEDGER_LAKE. "
        "What was stored before is unchanged."
    )


def _name_variables(clause: str, said: str) -> str:
    """The clause with the variables of the store that it is about; those of S3 stand in it."""
    for store, variables in _VARIABLES.items():
        if store in said and "AWS_" in clause:
            return f"{clause.partition(':')[0]}: check {variables} and SUNLEDGER_LAKE"
    return clause


@contextmanager
def translate_store_faults() -> Iterator[None]:
    """Raise StoreError for what a library says of an object store. Anything else passes as it is."""
    try:
        yield
    except SunledgerError:
        raise
    except Exception as fault:
        error = find_store_error(fault)
        if error is None or _says_only_that_it_is_not_there(fault):
            raise
        raise error from fault


def list_causes(fault: BaseException) -> Iterator[BaseException]:
    """The fault and what it came from, each once."""
    seen: list[BaseException] = []
    at: BaseException | None = fault
    while at is not None and at not in seen:
        seen.append(at)
        yield at
        at = at.__cause__ or at.__context__


def _says_only_that_it_is_not_there(fault: Exception) -> bool:
    return isinstance(fault, FileNotFoundError) and "NoSuchBucket" not in str(fault)
