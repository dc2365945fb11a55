"""The sandbox as a process of its own, and its command line."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from sandbox.address import SandboxAddress
from sandbox.command_line import app
from sandbox.launch import SandboxFailedError, run_sandbox
from sandbox.options import Options
from sandbox.tokens import Client

BASES = {
    "SMA_AUTH_URL": "",
    "SMA_CONSENT_URL": "",
    "SMA_MONITORING_URL": "/monitoring",
    "SMA_LIVE_URL": "/live",
}
LOOPBACKS = ("127.0.0.1", "127.0.0.2")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_running_gives_the_settings_of_a_client_and_leaves_no_process() -> None:
    with run_sandbox("--plants", "2", "--client-secret", "s3", "--time-basis=utc") as address:
        settings = address.settings()
        auth = (settings["SMA_CLIENT_ID"], settings["SMA_CLIENT_SECRET"])
        form = {"grant_type": "client_credentials"}
        token = httpx.post(
            f"{settings['SMA_AUTH_URL']}/oauth2/token", data=form, auth=auth, trust_env=False
        ).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        answer = httpx.get(f"{settings['SMA_MONITORING_URL']}/v1/plants", headers=headers, trust_env=False)
        assert len(answer.json()["plants"]) == 2
        assert settings["SMA_TIME_BASIS"] == "utc"
        assert settings["SMA_FLOW"] == "custom"
        assert auth[1] == "s3"
        pid = address.pid
    assert pid is not None
    assert not alive(pid)


def test_the_bases_differ_in_their_path_only() -> None:
    settings = SandboxAddress("http://127.0.0.1:1").settings()
    assert {name: settings[name] for name in BASES} == {n: f"http://127.0.0.1:1{p}" for n, p in BASES.items()}
    assert settings["SMA_GRIDCONTROL_URL"] == "http://127.0.0.1:1/gridcontrol"


def test_the_page_says_how_to_point_the_program_at_it() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text()
    lines = [line.strip() for line in page.splitlines() if line.startswith("    SMA_")]
    settings = SandboxAddress("http://127.0.0.1:8400").settings()
    assert dict(line.split("=", 1) for line in lines) == {
        name: value for name, value in settings.items() if name != "SMA_FLOW"
    }


def test_no_secret_in_what_is_printed_of_an_address_or_of_options() -> None:
    hidden = "hush"
    assert hidden not in repr(SandboxAddress("http://127.0.0.1:1", client_secret=hidden))
    assert hidden not in repr(Options(client_secret=hidden, code_client_secret=hidden))
    assert hidden not in repr(Client("a", hidden, "custom"))


def test_a_sandbox_that_cannot_start_says_why(tmp_path: Path) -> None:
    sandbox = run_sandbox("--replay", str(tmp_path / "none.parquet"))
    with pytest.raises(SandboxFailedError, match="Cannot read the recording"):
        sandbox.__enter__()


def test_it_ends_with_its_standard_input_and_its_banner_says_what_it_is() -> None:
    command = [sys.executable, "-m", "sandbox", "serve", "--port", "0", "--plants", "0", "--ready-json"]
    with subprocess.Popen(
        [*command, "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["url"].startswith("http://127.0.0.1:")
        assert "secret" not in json.dumps(ready)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0
    assert "NOT SMA" in said
    assert "sandbox-custom-secret" not in said


# Scripts of users name each of them, in step with --replay.
TRAITS = ("timezone", "rated-kw", "name", "plant-id", "latitude", "longitude")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--client-id", "sandbox-code"], "'sandbox-code' is a client of --client-id"),
        (["--client-id", ""], "--client-id is empty"),
        (["--code-client-secret", ""], "--code-client-secret is empty"),
        (["--day-of", "utc"], "add --time-basis utc"),
        (["--consent-after", "inf"], "--consent-after inf is not a time"),
        (["--replay", "x.parquet", "--name", ""], "--name is empty"),
        (
            ["--replay", "x.parquet", *(f"--{name}=1" for name in TRAITS), "--rated-kw", "2"],
            "--rated-kw is there 2x and --replay 1x",
        ),
        (["--replay", "x.parquet", "--plant-id", ""], "--plant-id is empty"),
        (["--allow-host", "https://sun.example.org"], "is not the name of a host"),
        (["--allow-host", "sun.example.org:8400"], "is not the name of a host"),
    ],
)
def test_options_that_cannot_be_are_refused_with_the_cure(options: list[str], said: str) -> None:
    refused = CliRunner().invoke(app, ["serve", "--port", "0", *options])
    assert (refused.exit_code, said in refused.stderr) == (2, True)


def reachable(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=60):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
def test_it_listens_where_it_was_told_and_on_loopback_otherwise(host: str) -> None:
    """All of 127/8 is this machine, so a second address of it can stand for one that others can reach."""
    options = [] if host == "127.0.0.1" else ["--host", host]
    command = [sys.executable, "-m", "sandbox", "serve", "--port", "0", "--plants", "0", "--ready-json"]
    with subprocess.Popen(
        [*command, "--until-stdin-closes", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = int(json.loads(process.stdout.readline())["url"].rpartition(":")[2])
        assert [reachable(to, port) for to in LOOPBACKS] == [to == host for to in LOOPBACKS]
        _, said = process.communicate(timeout=120)
    assert ("can use and control the sandbox" in said) == (host != "127.0.0.1")


def test_a_taken_port_is_told_with_the_cure() -> None:
    with run_sandbox("--plants", "0") as address:
        port = address.url.rpartition(":")[2]
        result = CliRunner().invoke(app, ["serve", "--port", port, "--plants", "0"])
    assert result.exit_code == 2
    assert "choose another --port" in result.stderr


def test_faults_from_the_command_line() -> None:
    with run_sandbox(
        "--plants", "1", "--fault", "status_503,times=1", "--requests-per-5-min", "2"
    ) as address:
        form = {"grant_type": "client_credentials"}
        auth = (address.client_id, address.client_secret)
        with httpx.Client(base_url=address.url, trust_env=False) as http:
            token = http.post("/oauth2/token", data=form, auth=auth).json()["access_token"]
            http.headers["Authorization"] = f"Bearer {token}"
            assert [http.get("/monitoring/v1/plants").status_code for _ in range(4)] == [503, 200, 200, 429]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fault", "nonsense"], "does not exist: choose from"),
        (["--plants", "-1"], "greater than or equal"),
        (["--time-basis", "moon"], "moon"),
    ],
)
def test_wrong_options_are_usage_errors(options: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["serve", *options])
    assert result.exit_code == 2
    assert said in result.stderr


def test_all_faults_can_be_listed() -> None:
    result = CliRunner().invoke(app, ["serve", "--list-faults"])
    assert result.exit_code == 0
    assert "truncated_body" in result.stdout


@pytest.mark.long
def test_a_sandbox_of_ten_thousand_plants_starts() -> None:
    with run_sandbox("--plants", "10000") as address:
        assert httpx.get(f"{address.url}/_control", trust_env=False).json()["plants"] == 10_000
