"""Where SMA's services live in each of its environments, and whether an address is on this machine."""

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit


class Hosts(NamedTuple):
    """Where one environment's services live: everything before `/v1` or `/oauth2`."""

    auth: str
    consent: str
    monitoring: str
    live: str
    gridcontrol: str


HOSTS: dict[str, Hosts] = {
    "sandbox": Hosts(
        auth="https://sandbox-auth.smaapis.de",
        consent="https://sandbox.smaapis.de",
        monitoring="https://sandbox.smaapis.de/monitoring",
        live="https://sandbox.smaapis.de/live",
        gridcontrol="https://sandbox.smaapis.de/gridcontrol",
    ),
    "production": Hosts(
        auth="https://auth.smaapis.de",
        consent="https://async-auth.smaapis.de",
        monitoring="https://monitoring.smaapis.de",
        live="https://live.smaapis.de",
        gridcontrol="https://gridcontrol.smaapis.de",
    ),
}


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine (`localhost`, 127.0.0.0/8, ::1)."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
