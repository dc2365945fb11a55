"""Dagster's tool for developers finds the project and its definitions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from assets.definitions import build_definitions
from pipeline.common.settings import load_settings

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SMA_", "SUNLEDGER_", "DAGSTER_"))}
    own = {"HOME": str(tmp_path), "SUNLEDGER_HOME": str(tmp_path / "home"), "VIRTUAL_ENV": str(BIN.parent)}
    return {**kept, **own, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def dg(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "dg", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.long
def test_dg_finds_the_definitions(environment: dict[str, str]) -> None:
    checked = dg(environment, "check", "defs")
    assert checked.returncode == 0, checked.stderr
    assert "All definitions loaded successfully." in checked.stdout + checked.stderr
    listed = dg(environment, "list", "defs", "--json")
    assert listed.returncode == 0, listed.stderr
    keys = build_definitions(load_settings(env_file=None)).resolve_asset_graph().materializable_asset_keys
    assert {asset["asset_key"] for asset in json.loads(listed.stdout)["assets"]} == {
        key.to_user_string() for key in keys
    }
