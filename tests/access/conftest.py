"""A sandbox in this process with its world in reach, and settings of both flows that point at it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.common.settings import Settings, load_settings
from sandbox.options import (
    DEFAULT_CLIENT_ID,
    DEFAULT_CLIENT_SECRET,
    DEFAULT_CODE_CLIENT_ID,
    DEFAULT_CODE_CLIENT_SECRET,
)
from tests.access.browser import OWNER
from tests.sandbox.conftest import serve  # noqa: F401 - a fixture
from tests.sandbox.served_sandbox import Serve, Served

Make = Callable[..., Settings]


@pytest.fixture
def box(serve: Serve) -> Served:  # noqa: F811 - the fixture of that name
    """Three plants; no owner has consented."""
    return serve(plants=3, owners_without_consent=3)


@pytest.fixture
def make(box: Served, tmp_path: Path) -> Make:
    """Settings of a flow (`custom` or `code`) with everything below the test's folder."""

    def build(flow: str = "custom", **more: Any) -> Settings:
        code = flow == "code"
        facts: dict[str, Any] = {
            "home": tmp_path / "home",
            "lake": str(tmp_path / "home" / "lake"),
            "warehouse": tmp_path / "home" / "sunledger.duckdb",
            "sma_flow": flow,
            "sma_client_id": DEFAULT_CODE_CLIENT_ID if code else DEFAULT_CLIENT_ID,
            "sma_client_secret": DEFAULT_CODE_CLIENT_SECRET if code else DEFAULT_CLIENT_SECRET,
            "sma_auth_url": box.url,
            "sma_consent_url": box.url,
            "sma_monitoring_url": f"{box.url}/monitoring",
            "sma_time_basis": "plant_local",
        }
        return load_settings(env_file=None, **{**facts, **more})

    return build


@pytest.fixture
def refresh_token(box: Served) -> Callable[..., str]:
    """A fresh session of the owner's; its refresh token."""

    def start(*, offline: bool = False) -> str:
        client = box.world.clients[DEFAULT_CODE_CLIENT_ID]
        return str(box.world.tokens.start(client, OWNER, offline=offline)["refresh_token"])

    return start


@pytest.fixture
def control(box: Served) -> Iterator[Callable[..., None]]:
    """Change the sandbox: `control("consents", owner=..., state=...)`."""
    with httpx.Client(base_url=box.url, trust_env=False) as http:

        def change(what: str, **facts: Any) -> None:
            http.post(f"/_control/{what}", json=facts).raise_for_status()

        yield change
