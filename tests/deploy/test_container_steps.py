"""The steps of the container file in a fresh environment: what the image would hold starts, and its check passes.

No image is built: each step is done in a folder that stands for the image's, with an empty virtual environment for its
Python. Users are made in that folder too. It takes minutes and downloads all packages.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import find_free_port

ROOT = Path(__file__).parents[2]
WITHIN_S = 1800
PAGE_WITHIN_S = 300
COMMANDS = (("cluster", "init", "--help"), ("worker", "--help"), ("push", "--help"))
EXTRA = "import dagster_celery, dagster_k8s, dagster_postgres, psycopg2, redis, cryptography, adbc_driver_postgresql"

pytestmark = pytest.mark.exhaustive


def read_steps() -> list[tuple[str, str]]:
    """The instructions, each with its words; continued lines are one."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "deploy" / "Containerfile").read_text())
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


@pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("useradd"), reason="users are made as root, by useradd"
)
@pytest.mark.parametrize("lock", ["requirements.lock.txt", "requirements-cluster.lock.txt"])
def test_the_steps_make_an_image_that_starts(lock: str, tmp_path: Path) -> None:
    image = tmp_path / "image"
    work, home = image / "srv/sunledger", image / "var/lib/sunledger"
    for folder in (work, image / "etc", home.parent):
        folder.mkdir(parents=True)
    for name in ("passwd", "group", "shadow", "gshadow"):
        (image / "etc" / name).touch()
    shutil.copy("/etc/login.defs", image / "etc")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "python"], check=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SMA_", "SUNLEDGER_", "DAGSTER_"))
    }
    env = {
        **kept,
        "PATH": f"{tmp_path / 'python/bin'}:{os.environ['PATH']}",
        "LOCK": lock,
        "HOME": str(tmp_path),
    }
    env.pop("PYTHONPATH", None)
    steps = read_steps()
    for word, rest in steps:
        if word == "COPY":
            *sources, target = rest.replace("${LOCK}", lock).split()
            for source in sources:
                _copy(ROOT / source, work / target, into=target.endswith("/"))
        elif word == "RUN":
            inside = re.sub(r"\b(groupadd|useradd) ", rf"\1 --prefix {image} ", rest)
            # useradd notes the home of the image, and only the folder is made here.
            inside = re.sub(
                r"(?<=[ ])(/var/lib/sunledger\S*)(?= /|$)|(?<=[ ])(/var/lib/sunledger/dagster)$",
                rf"{image}\1\2",
                inside,
            )
            done = subprocess.run(  # noqa: S602 - the steps of our own file, as a builder does them
                inside,
                shell=True,
                cwd=work,
                env=env,
                capture_output=True,
                text=True,
                timeout=WITHIN_S,
                check=False,
            )
            assert done.returncode == 0, f"{rest}: {done.stdout}{done.stderr}"
        elif word == "ENV":
            name, _, value = rest.partition("=")
            env[name] = str(image / value.lstrip("/"))
    assert env["SUNLEDGER_HOME"] == str(home)
    assert (home / "dagster").stat().st_uid == int(dict(steps)["USER"])
    assert re.search(
        rf"^sunledger:x:{dict(steps)['USER']}:", (image / "etc/passwd").read_text(), re.MULTILINE
    )
    program = tmp_path / "python/bin/sunledger"
    for words in COMMANDS:
        said = subprocess.run(
            [program, *words], env=env, cwd=home, capture_output=True, text=True, check=False
        )
        assert said.returncode == 0, said.stderr
    extra = subprocess.run(
        [tmp_path / "python/bin/python", "-c", EXTRA], env=env, cwd=home, capture_output=True, check=False
    )
    assert (extra.returncode == 0) == ("cluster" in lock), extra.stderr
    _start(steps, env, home, tmp_path)


def _copy(source: Path, target: Path, *, into: bool) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target / source.name if into or target.is_dir() else target)


def _start(steps: list[tuple[str, str]], env: dict[str, str], home: Path, folder: Path) -> None:
    """Start the program as the image does, and ask it as the health check does."""
    port = str(find_free_port())
    command = json.loads(dict(steps)["CMD"].replace("3000", port).replace("0.0.0.0", "127.0.0.1"))  # noqa: S104
    check = json.loads(dict(steps)["HEALTHCHECK"].partition("CMD ")[2].replace("3000", port))
    with _running(command, env, home, folder / "log") as process:
        deadline = time.monotonic() + PAGE_WITHIN_S
        while subprocess.run(check, env=env, capture_output=True, check=False).returncode:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(1)
    assert process.returncode == 0, (folder / "log").read_text()


@contextmanager
def _running(
    command: list[str], env: dict[str, str], home: Path, log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("w") as said:
        program = shutil.which(command[0], path=env["PATH"]) or command[0]
        process = subprocess.Popen([program, *command[1:]], env=env, cwd=home, stdout=said, stderr=said)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(120)
