"""A browser of a few lines: signs an owner in at the sandbox's pages, decides, and follows the way back."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

from sandbox.options import OWNER_PASSWORD

OWNER = "owner1@example.com"


def hidden_fields(html: str) -> dict[str, str]:
    """The hidden fields of a form."""
    found = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', html)
    return {name: value.replace("&amp;", "&") for name, value in found}


def decide(address: str, decision: str = "allow", email: str = OWNER) -> str:
    """Walk from the login page to the redirect; the address it leads to."""
    parts = urlsplit(address)
    with httpx.Client(base_url=f"{parts.scheme}://{parts.netloc}", trust_env=False) as browser:
        login = browser.get(address)
        form = {**hidden_fields(login.text), "email": email, "password": OWNER_PASSWORD}
        consent = browser.post("/oauth2/auth/login", data=form)
        end = browser.post("/oauth2/auth/decide", data={**hidden_fields(consent.text), "decision": decision})
        assert end.status_code == 302, end.text
        return end.headers["location"]


def visit(address: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Open an address."""
    with httpx.Client(trust_env=False) as browser:
        return browser.get(address, headers=headers)
