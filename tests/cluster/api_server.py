"""A stand-in of the Kubernetes API server: it runs each Job as a process of this machine, in a home of its own.

It knows what Dagster's launcher asks for: Jobs are created, looked at and deleted; there are no pods to be listed.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.stage import SCRIPT, kill_machine


@dataclass
class ApiServer:
    """The Jobs by name; `environment` and `dagster_yaml` are the config maps and the secret that they get."""

    folder: Path
    environment: Mapping[str, str]
    dagster_yaml: Path
    jobs: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Start the Job's process."""
        name = body["metadata"]["name"]
        (container,) = body["spec"]["template"]["spec"]["containers"]
        home = self.folder / name / "home"
        (home / "dagster").mkdir(parents=True)
        shutil.copy(self.dagster_yaml, home / "dagster" / "dagster.yaml")
        given = {one["name"]: one["value"] for one in container["env"] if "value" in one}
        own = {
            "SUNLEDGER_HOME": str(home),
            "DAGSTER_HOME": str(home / "dagster"),
            "HOME": str(home),
            "PATH": f"{SCRIPT.parent}:/usr/bin:/bin",
        }
        with (self.folder / f"{name}.log").open("w") as said:
            self.jobs[name] = subprocess.Popen(
                container["args"],
                executable=str(SCRIPT.parent / container["args"][0]),
                env={**self.environment, **given, **own},
                cwd=home,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self.bodies[name] = body
        return body

    def describe(self, name: str) -> dict[str, Any] | None:
        """The Job with its state, None where there is none."""
        job = self.jobs.get(name)
        if job is None:
            return None
        code = job.poll()
        status = {"active": 1} if code is None else {"succeeded": 1} if code == 0 else {"failed": 1}
        return {**self.bodies[name], "status": status}

    def delete(self, name: str) -> None:
        """End the Job's process."""
        with suppress(ProcessLookupError):
            os.killpg(self.jobs[name].pid, signal.SIGTERM)

    def end(self) -> None:
        """End all Jobs."""
        for job in self.jobs.values():
            if job.poll() is None:
                kill_machine(job.pid)
            job.wait(60)


@contextmanager
def serve_api(
    folder: Path, environment: Mapping[str, str], dagster_yaml: Path
) -> Iterator[tuple[ApiServer, Path]]:
    """The running server and a kubeconfig that names it."""
    folder.mkdir()
    api = ApiServer(folder, environment, dagster_yaml)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            words = self.path.partition("?")[0].strip("/").split("/")
            if "jobs" in words and words[-1] != "jobs":
                found = api.describe(words[words.index("jobs") + 1])
                self._answer(200 if found else 404, found or {"kind": "Status", "code": 404})
            else:
                self._answer(200, {"kind": "List", "metadata": {}, "items": []})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(201, api.create(body))

        def do_DELETE(self) -> None:
            api.delete(self.path.partition("?")[0].rpartition("/")[2])
            self._answer(200, {"kind": "Status", "status": "Success"})

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, code: int, body: object) -> None:
            content = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    file = folder / "kubeconfig"
    address = f"http://127.0.0.1:{server.server_address[1]}"
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "here", "cluster": {"server": address}}],
                "users": [{"name": "me", "user": {}}],
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                "current-context": "here",
            }
        )
    )
    try:
        yield api, file
    finally:
        api.end()
        server.shutdown()
        thread.join()
        server.server_close()
