"""How the program ends: by a signal at any moment, and where the machine lacks something, always in one sentence."""

import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.cli.limits import check_limits
from pipeline.common.errors import SunledgerError, UsageError
from sandbox.launch import SandboxAddress
from tests.programs import PATIENCE_S, PROGRAM, environment, run, start, wait_until
from tests.samples import take_samples

SHELL_PROGRAM = shlex.join(PROGRAM)
DAY = ["--from", "2021-10-04", "--to", "2021-10-04"]
MOUNT, UMOUNT = shutil.which("mount") or "", shutil.which("umount") or ""
needs_mounts = pytest.mark.skipif(not MOUNT or os.getuid() != 0, reason="mounting a small disk takes root")


def run_words(words: list[str], folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A process in the folder, with both of its streams in stdout."""
    return subprocess.run(
        words,
        cwd=folder,
        env=environment(folder, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def assert_one_sentence(said: str) -> None:
    assert "Traceback" not in said
    errors = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, said
    assert said.splitlines()[-1] == errors[0]


def test_a_python_without_descriptions_publishes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are comments in the published file, and another file was taken for one of another version."""
    monkeypatch.setattr("sys.flags", SimpleNamespace(optimize=2))
    with pytest.raises(UsageError, match="unset PYTHONOPTIMIZE"):
        check_limits()


@pytest.mark.parametrize(
    ("limited", "said"),
    [
        (resource.RLIMIT_AS, "only 0.5 GB of address space but needs 3 GB: raise the limit with 'ulimit -v'"),
        (resource.RLIMIT_DATA, "only 0.5 GB of memory but needs 0.6 GB: raise the limit with 'ulimit -d'"),
    ],
)
def test_too_little_memory_is_said_before_the_start(
    monkeypatch: pytest.MonkeyPatch, limited: int, said: str
) -> None:
    """Libraries abort the process where they get none."""
    limits = resource.getrlimit
    monkeypatch.setattr(
        resource, "getrlimit", lambda kind: (5 * 10**8, 10**9) if kind == limited else limits(kind)
    )
    with pytest.raises(SunledgerError, match=said):
        check_limits()


@pytest.mark.parametrize(
    ("number", "after_s"),
    take_samples(3, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], [0.25, 0.7, 1.5, 2.5]),
)
def test_a_first_signal_ends_it_at_any_moment(tmp_path: Path, number: signal.Signals, after_s: float) -> None:
    process = start(tmp_path, "publish")
    # Before that Python itself loads, and nothing of ours is there to say anything.
    wait_until(lambda: _catches_terminate(Path(f"/proc/{process.pid}/status").read_text()), process)
    time.sleep(after_s)
    process.send_signal(number)
    said, _ = process.communicate(timeout=PATIENCE_S)
    if process.returncode == 0:
        # It was done before.
        return
    assert process.returncode == 128 + number, said
    assert_one_sentence(said)


def _catches_terminate(status: str) -> bool:
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:")).split()[1]
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


# Called by C's `exit`, when nothing of Python is there any more.
LATE = """
import ctypes
libc = ctypes.CDLL(None)
libc.__cxa_atexit(getattr(libc, 'raise'), ctypes.c_void_p({}), None)
from pipeline.cli import end, main
end._run = lambda: 0
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_after_the_last_step_changes_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Python takes its handlers of signals away before the libraries have ended."""
    assert run_words([sys.executable, "-c", LATE.format(int(number))], tmp_path).returncode == 0


STUCK = """
import sys, time, threading
from pipeline.common import signals
signals.AGAIN_AFTER_S, signals.ENDS_AFTER_S = 0.2, 0.6
from pipeline.cli import end
def there():
    print("there", flush=True)
def stuck():
    {}
end._run = stuck
from pipeline.cli import main
main()
"""
# Inside a call of another language, which looks at no signal; and where the exception is lost.
CALLS = {
    "a native call": "import ctypes; there(); [ctypes.CDLL(None).sleep(60) for _ in range(2)]",
    "a library that logs it": (
        "exec('import logging\\ntry: there(); time.sleep(60)\\n"
        "except BaseException:\\n logging.getLogger(str()).exception(str())\\n raise')"
    ),
    "a library that makes an error of it, and a thread that is late": (
        "import signal; signal.set_wakeup_fd(-1)\n"
        "    exec('try: there(); time.sleep(60)\\nexcept BaseException:\\n raise RuntimeError(int()) from None')"
    ),
    "an exception that is lost": "there(); exec('while True:\\n try: time.sleep(60)\\n except BaseException: pass')",
}


@pytest.mark.long
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_does_not_see_signals_ends_in_a_bounded_time(tmp_path: Path, call: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK.format(CALLS[call])],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "there\n"
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, said
    assert_one_sentence(said)


LOADING = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == {!r}:
            os.kill(os.getpid(), signal.SIGTERM)
sys.meta_path.insert(0, Interrupting())
from pipeline.cli import main
main()
"""


@pytest.mark.parametrize(
    "module",
    take_samples(
        2,
        ["pipeline.cli.end", "pipeline.cli.limits", "typer", "pipeline.cli.bills.billing_commands", "polars"],
    ),
)
def test_a_signal_ends_it_while_it_loads(tmp_path: Path, module: str) -> None:
    done = run_words([sys.executable, "-c", LOADING.format(module), "publish"], tmp_path)
    assert done.returncode == 128 + signal.SIGTERM, done.stdout
    assert done.stdout == "Error: Ended by SIGTERM. All finished work is stored: run it again for the rest.\n"


@pytest.mark.long
def test_a_program_in_the_background_ends_too(tmp_path: Path) -> None:
    """A shell that is no terminal starts what it puts into the background with SIGINT ignored."""
    command = f"{SHELL_PROGRAM} sandbox serve --port 0 & echo $!; wait $!; echo $?"
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as shell:
            assert shell.stdout
            pid = int(shell.stdout.readline())
            while "http://127.0.0.1" not in shell.stdout.readline():
                assert shell.poll() is None
            os.kill(pid, number)
            rest = shell.stdout.read()
            assert shell.wait(PATIENCE_S) == 0
            assert "Traceback" not in rest


def processes_of(folder: Path) -> list[int]:
    """All processes that have this home in their environment."""
    wanted = f"SUNLEDGER_HOME={folder / 'home'}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def is_service(pid: int) -> bool:
    try:
        return b"assets." in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize(("number", "after_s"), take_samples(2, [signal.SIGTERM, signal.SIGINT], [0, 12]))
def test_the_control_room_ends_with_all_its_children(
    tmp_path: Path, number: signal.Signals, after_s: float
) -> None:
    log = tmp_path / "log"
    command = f"{SHELL_PROGRAM} ui --part daemon > {log} 2>&1 & echo $!; wait $!; echo $?"
    with subprocess.Popen(
        ["/bin/sh", "-c", command], cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    ) as shell:
        assert shell.stdout
        pid = int(shell.stdout.readline())
        deadline = time.monotonic() + PATIENCE_S
        # Whatever else the program starts before, it answers to signals in this way once Dagster is there.
        while not any(map(is_service, processes_of(tmp_path))) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(after_s)
        os.kill(pid, number)
        assert shell.stdout.read().strip() == "0", log.read_text()
    assert processes_of(tmp_path) == []


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run([MOUNT, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run([UMOUNT, "-l", str(folder)], check=True)


@needs_mounts
@pytest.mark.parametrize("size", take_samples(2, ["64k", "400k", "600k", "900k", "1800k"]))
def test_a_full_disk_is_told_in_one_sentence_and_leaves_nothing_held(tmp_path: Path, size: str) -> None:
    with small_disk(tmp_path / "disk", size) as disk:
        home = str(disk / "home")
        code, said = run(tmp_path, "publish", SUNLEDGER_HOME=home)
        assert code == 1
        assert_one_sentence(said)
        assert "SQL" not in said
        assert run(tmp_path, "verify", SUNLEDGER_HOME=home)[0] == 0
        # With more room the next one goes through, whatever the first has left behind.
        subprocess.run([MOUNT, "-o", "remount,size=200m", str(disk)], check=True)
        code, said = run(tmp_path, "publish", SUNLEDGER_HOME=home)
        assert code == 0, said


@pytest.mark.parametrize("limit", take_samples(2, ["-n 12", "-n 40", "-n 100", "-v 600000", "-v 1500000"]))
def test_few_files_and_little_memory_are_told_in_one_sentence(tmp_path: Path, limit: str) -> None:
    command = f"ulimit {limit}; exec {SHELL_PROGRAM} publish"
    done = run_words(["/bin/sh", "-c", command], tmp_path)
    if done.returncode == 0:
        pytest.skip("that was enough here")
    assert "Traceback" not in done.stdout
    assert done.stdout.count("Error: ") == 1, done.stdout


# What makes a setting unusable, and what is said of it.
BEFORE_REQUESTS = {
    "SUNLEDGER_QUALITY=not-there.toml": "not-there.toml can't be read",
    "SUNLEDGER_IRRADIATION=not-there.csv": "not-there.csv can't be used",
    "SUNLEDGER_PRICES=not-there.toml": "not-there.toml can't be read",
    "SUNLEDGER_WAREHOUSE=/proc/nowhere/file.duckdb": "/proc/nowhere can't be written",
    "SUNLEDGER_WAREHOUSE=/tmp": "SUNLEDGER_WAREHOUSE=/tmp is a folder",
    "SUNLEDGER_LAKE=/proc/nowhere": "/proc/nowhere can't be written",
}


@pytest.mark.parametrize(
    ("words", "unusable"), take_samples(2, ["refresh", shlex.join(["backfill", *DAY])], BEFORE_REQUESTS)
)
def test_settings_that_are_needed_late_are_looked_at_before_the_first_request(
    tmp_path: Path, box: SandboxAddress, words: str, unusable: str
) -> None:
    setting, value = unusable.split("=")
    says = BEFORE_REQUESTS[unusable]
    code, said = run(tmp_path, *words.split(), **{**box.settings(), setting: value})
    assert code == 2, said
    assert says in said
    assert_one_sentence(said)
    assert not list((tmp_path / "home" / "requests").glob("*"))


@pytest.mark.long
def test_more_connections_than_files_are_told_before_the_first_request(
    tmp_path: Path, box: SandboxAddress
) -> None:
    settings = {**box.settings(), "SMA_MAX_CONNECTIONS": "256"}
    command = f"ulimit -n 200; exec {SHELL_PROGRAM} refresh"
    done = run_words(["/bin/sh", "-c", command], tmp_path, **settings)
    assert done.returncode == 2, done.stdout
    assert "256 connections to SMA need 356, so nothing is asked for" in done.stdout
    assert_one_sentence(done.stdout)


@pytest.mark.long
@pytest.mark.parametrize(
    "proxy", ["http://[::", "foo://proxy:1", "http://", "socks5://127.0.0.1:9", "http://user:hush@host:99999"]
)
def test_an_unusable_proxy_is_told_without_its_password(
    tmp_path: Path, box: SandboxAddress, proxy: str
) -> None:
    settings = {**box.settings(), "SMA_AUTH_URL": "https://auth.example", "https_proxy": proxy}
    code, said = run(tmp_path, "backfill", *DAY, **settings)
    assert code == 2, said
    assert "The proxy in https_proxy can't be used" in said
    assert "hush" not in said
    assert_one_sentence(said)
