"""What a cluster of a test consists of: servers on loopback, and machines, each with a home of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx

from bench.store import serve_look_alike, serve_module
from sandbox.launch import SandboxAddress, run_sandbox
from tests.assets.postgres_server import postgres
from tests.budget.redis_server import redis_server
from tests.programs import environment, list_below

BUCKET = "sunledger"
LOCATION = {
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}
PATIENCE_S = 1800.0
# Each look at the control room's runs takes its processor a while, and minutes are waited for their end.
LOOK_AT_RUNS_S = 2.0
# The program's own script, as `sunledger` of each machine.
SCRIPT = Path(sys.executable).with_name("sunledger")


@dataclass(frozen=True)
class Servers:
    """The servers that the machines share, as settings of the program; and the services of SMA."""

    settings: Mapping[str, str]
    sandbox: SandboxAddress

    def machine(self, folder: Path, **more: str) -> dict[str, str]:
        """The environment of a machine whose home is below that folder."""
        folder.mkdir(parents=True, exist_ok=True)
        return environment(folder, **{**self.settings, **more})


@contextmanager
def serve(folder: Path, plants: int, kind: str, at_once: int = 2) -> Iterator[Servers]:
    """PostgreSQL, Redis, an object store with one bucket, and the sandbox; ended with the block."""
    with ExitStack() as opened:
        found = opened.enter_context(postgres())
        redis = opened.enter_context(redis_server(folder))
        store = opened.enter_context(serve_store())
        sandbox = opened.enter_context(run_sandbox("--plants", str(plants)))
        address = f"{found['DAGSTER_PG_HOST']}:{found['DAGSTER_PG_PORT']}/{found['DAGSTER_PG_DB']}"
        yield Servers(
            {
                **sandbox.settings(),
                **store,
                "SUNLEDGER_CLUSTER": kind,
                "SUNLEDGER_CLUSTER_POSTGRES_URL": f"postgresql://{found['DAGSTER_PG_USER']}:"
                f"{found['DAGSTER_PG_PASSWORD']}@{address}",
                "SUNLEDGER_CLUSTER_BROKER_URL": redis.url.replace("/0", "/1"),
                "SUNLEDGER_BUDGET_URL": redis.url,
                "SUNLEDGER_CLUSTER_KEY": "k" * 40,
                "SUNLEDGER_CLUSTER_RUNS": str(at_once),
                "SUNLEDGER_CLUSTER_IMAGE": "sunledger",
            },
            sandbox,
        )


@contextmanager
def serve_store(latency_s: float = 0.0) -> Iterator[dict[str, str]]:
    """The settings of an object store with one bucket, each of whose answers takes so long; ended with the block."""
    with ExitStack() as opened:
        store = opened.enter_context(serve_look_alike())
        httpx.put(f"{store}/{BUCKET}").raise_for_status()
        if latency_s:
            store = opened.enter_context(serve_module("tests.warehouse.store_proxy", store, str(latency_s)))
        yield {**LOCATION, "AWS_ENDPOINT_URL": store, "SUNLEDGER_LAKE": f"s3://{BUCKET}/lake"}


def copy_lake(lake: Path, servers: Servers) -> None:
    """What `aws s3 sync` does with a bucket that is empty."""
    client = boto3.client(
        "s3",
        endpoint_url=servers.settings["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    for file in sorted(lake.rglob("*")):
        if file.is_file():
            client.upload_file(str(file), BUCKET, f"lake/{file.relative_to(lake)}")


@contextmanager
def start_machine(words: list[str], env: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the program in a session of its own, ended with all that it has started."""
    with log.open("a") as said:
        process = subprocess.Popen(
            [SCRIPT, *words],
            env=dict(env),
            cwd=Path(env["HOME"]),
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                kill_machine(process.pid)
                process.wait(60)


def run_at_once(works: list[tuple[Path, list[str], dict[str, str]]]) -> None:
    """Run the program in several folders at once, each as a process. Raises AssertionError where one fails."""
    with ExitStack() as opened:
        started = [
            opened.enter_context(start_machine(words, env, folder / "said.log"))
            for folder, words, env in works
        ]
        for (folder, words, _), process in zip(works, started, strict=True):
            code = process.wait(PATIENCE_S)
            assert code == 0, f"{words} in {folder}: {(folder / 'said.log').read_text()}"


def kill_machine(pid: int) -> int:
    """Kill a process and all below it with SIGKILL, as the loss of a machine does; how many they were."""
    doomed = [pid, *list_below(pid)]
    for one in doomed:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    return len(doomed)


def wait_for(
    look: Callable[[], Any], what: str, patience_s: float = PATIENCE_S, look_every_s: float = 0.5
) -> Any:
    """The first result that counts as true. Raises AssertionError with `what` after a long time."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(look_every_s)
    raise AssertionError(f"{what} did not happen in time.")
