"""Hosts, certificates and clocks, from one request without credentials to each service."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from pipeline.ops.doctor.result import Diagnosis, fail, pass_check, warn
from pipeline.sma.http.error_messages import format_status
from pipeline.sma.http.server_time import CLOCK_CURE, CLOCK_FAIL_S, format_skew

# A Date header has whole seconds and an answer may be slow; a machine with NTP is within a second.
CLOCK_WARN_S = 30.0

_SERVER_FAULTS = range(500, 600)
_REDIRECTS = range(300, 400)
_NEEDS_TOKEN = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_CURE = {
    "SMA_AUTH_URL": "it is the part before /oauth2 of SMA's token service",
    "SMA_CONSENT_URL": "it is the part before /oauth2 of SMA's consent service",
    "SMA_MONITORING_URL": "it is the part before /v1: with /monitoring in SMA's sandbox, without it in production",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """What a service said to a request without credentials.

    `status` is None when no answer came; then `fault` says why, as a clause, and `untrusted` whether the certificate
    was refused. `date` is the answer's own time, `at` this machine's when it came; both UTC.
    """

    setting: str
    url: str
    status: int | None
    at: dt.datetime
    date: dt.datetime | None = None
    fault: str = ""
    untrusted: bool = False


def judge_hosts(probes: Sequence[Probe]) -> list[Diagnosis]:
    """A finding for each service."""
    return [_judge_host(probe) for probe in probes]


def _judge_host(probe: Probe) -> Diagnosis:
    name, where = "hosts", f"{probe.setting}={probe.url}"
    cure = f"check {probe.setting}, {_CURE[probe.setting]}"
    if probe.untrusted:
        return fail(
            name,
            f"{where}: the certificate is not trusted, so nothing was sent: {cure}, or set SSL_CERT_FILE to your "
            "organisation's certificates.",
        )
    if probe.status is None:
        return fail(name, f"{where}: {probe.fault}: check the network, SMA_ENVIRONMENT and {probe.setting}.")
    said = f"{where} answers {format_status(probe.status)}"
    if probe.status in _SERVER_FAULTS:
        return warn(name, f"{said}, so SMA's service has a fault: run this again later.")
    if probe.status in _REDIRECTS and probe.setting != "SMA_AUTH_URL":
        return warn(
            name, f"{said} and redirects to another host, to which credentials are never sent: {cure}."
        )
    if probe.setting == "SMA_MONITORING_URL" and probe.status not in _NEEDS_TOKEN:
        return warn(name, f"{said} to a request without a token, which SMA's services never do: {cure}.")
    secure = urlsplit(probe.url).scheme == "https"
    return pass_check(
        name, f"{where} answers{', its certificate is trusted' if secure else ' (this machine, no TLS)'}"
    )


def judge_tls(authorities: int, environment: Mapping[str, str]) -> list[Diagnosis]:
    """Which certificates are trusted, and what the environment does to connections.

    `authorities` is the number of certificates that may sign for others.
    """
    source = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if environment.get(name)), "")
    where = f"{source}={environment[source]}" if source else "the certificates that come with sunledger"
    found = []
    if environment.get("SSLKEYLOGFILE"):
        found.append(
            warn(
                "TLS",
                "SSLKEYLOGFILE is set, so the keys of every connection are written to a file that makes tokens "
                "readable: unset it.",
            )
        )
    if not authorities:
        cure = f"set {source or 'SSL_CERT_FILE'} to your organisation's certificates, or unset it"
        return [*found, fail("TLS", f"{where}: no certificate authority is trusted, so no host is: {cure}.")]
    return [*found, pass_check("TLS", f"always verified, with {authorities} authorities from {where}")]


def judge_clock(probes: Sequence[Probe]) -> list[Diagnosis]:
    """How far this machine's clock is from SMA's, by the answers' Date."""
    # Half a second is the mean of what a Date leaves out.
    skews = [(p.at - p.date).total_seconds() - 0.5 for p in probes if p.date is not None]
    if not skews:
        return [
            warn("clock", "no answer had a Date header, so this machine's clock was not compared with SMA's.")
        ]
    skew = sorted(skews)[len(skews) // 2]
    if abs(skew) < CLOCK_WARN_S:
        return [pass_check("clock", f"within {CLOCK_WARN_S:.0f} s of SMA's")]
    side = "ahead of" if skew > 0 else "behind"
    text = (
        f"this machine's clock is {format_skew(abs(skew))} {side} SMA's, so days would count as complete too "
        f"{'early' if skew > 0 else 'late'}: {CLOCK_CURE}."
    )
    return [fail("clock", text) if abs(skew) >= CLOCK_FAIL_S else warn("clock", text)]
