"""The control room as a person has it: `sunledger ui` as processes of its own, spoken to as its page does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from sandbox.launch import SandboxAddress
from tests.ports import find_free_port
from tests.programs import PATIENCE_S

STARTS_WITHIN_S = 300
# Each look takes the page's process some time, and minutes are waited for what runs come to.
LOOK_EVERY_S = 2.0
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "sunledger"}
LAUNCH_RUN = """
mutation launch($tags: [ExecutionTag!]!, $selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, executionMetadata: {tags: $tags}}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
RUNS = "{ runsOrError { ... on Runs { results { runId status startTime endTime tags { key value } } } } }"


@dataclass
class ControlRoom:
    """A running Dagster: its address, the home it works on, its first process, and GraphQL as its page speaks it."""

    url: str
    home: Path
    environment: Mapping[str, str]
    sandbox: SandboxAddress
    process: "subprocess.Popen[bytes]"

    @contextmanager
    def portal_silent(self) -> Iterator[None]:
        """The sandbox takes connections and sends nothing until the block ends, so no run that asks it can end."""
        assert self.sandbox.pid is not None
        os.kill(self.sandbox.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.sandbox.pid, signal.SIGCONT)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of the answer."""
        answer = httpx.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60
        ).raise_for_status()
        found: dict[str, Any] = answer.json()
        assert "errors" not in found, found
        return found["data"]  # type: ignore[no-any-return]

    def runs(self) -> list[dict[str, Any]]:
        """All runs, the newest first, with their tags as a dictionary."""
        found = self.ask(RUNS)["runsOrError"]["results"]
        return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]

    def launch_days(self, tags: Mapping[str, str]) -> str:
        """Launch a run of the job for days, with these tags; its id."""
        answer = self.ask(
            LAUNCH_RUN,
            tags=[{"key": key, "value": value} for key, value in tags.items()],
            selector={**REPOSITORY, "jobName": "energy_days"},
        )["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def sunledger(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The script in the same environment."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("sunledger")), *arguments],
            env=dict(self.environment),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


def eventually(look: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
    """The first result that counts as true."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(LOOK_EVERY_S)
    raise AssertionError("It did not happen in time.")


@contextmanager
def control_room(
    home: Path, environment: Mapping[str, str], sandbox: SandboxAddress, log: Path
) -> Iterator[ControlRoom]:
    """`sunledger ui` on a free port, ready to answer, with an environment that names the sandbox; ended by SIGTERM."""
    port = find_free_port()
    home.mkdir(parents=True, exist_ok=True)
    with log.open("w") as said:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("sunledger")), "ui", "--port", str(port)],
            env=dict(environment),
            cwd=home,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        room = ControlRoom(f"http://127.0.0.1:{port}", home, environment, sandbox, process)
        try:
            eventually(lambda: _answers(room), STARTS_WITHIN_S)
            yield room
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _answers(room: ControlRoom) -> bool:
    try:
        return bool(room.ask("{ repositoriesOrError { __typename } }"))
    except httpx.HTTPError:
        return False
