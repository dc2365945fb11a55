"""The services of a control room end with the process that runs them, however that ends."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assets.control_room import LOOK_EVERY_S, Service, run_services
from assets.dagster_records.start_lock import StartLockedError, hold_daemon_lock
from pipeline.common.errors import SunledgerError
from tests.programs import PATIENCE_S, environment, is_there, wait_until

# A service that has started a program of its own, as Dagster's daemon has its code servers. It says which both are.
SERVICE = """
import os, subprocess, sys, time
from assets.control_room import end_with_parent
end_with_parent()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
with open("pids.new", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.replace("pids.new", "pids")
time.sleep(3600)
"""
ROOM = """
import os, sys
from assets.control_room import Service, run_services
run_services([Service("service", [sys.executable, "-c", sys.argv[1]])], os.environ, print)
"""


# What others need: it takes connections after a while, and says that it does.
NEEDED = """
import os, socket, sys, time
time.sleep(0.3)
if os.path.exists(sys.argv[1]):
    os.unlink(sys.argv[1])
with socket.socket(socket.AF_UNIX) as place:
    place.bind(sys.argv[1])
    place.listen()
    with open("needed", "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(3600)
"""
# What needs it ends at once where it is not there.
NEEDS = """
import os, socket, sys, time
with socket.socket(socket.AF_UNIX) as place:
    place.connect(sys.argv[1])
with open("needs", "a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(3600)
"""
ROOM_OF_TWO = """
import os, sys
from pathlib import Path
from assets import control_room
from assets.control_room import Service, run_services
needed, needs, place, control_room.STARTED_AGAIN_AFTER_S = *sys.argv[1:4], float(sys.argv[4])
words = [sys.executable, "-c"]
services = [Service("The code", [*words, needed, place], Path(place)), Service("The page", [*words, needs, place])]
sys.exit(0 if run_services(services, os.environ, print) else 1)
"""


def _read_pids(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


@contextmanager
def open_room(folder: Path, place: Path, again_after_s: float) -> Iterator["subprocess.Popen[str]"]:
    """A room of two services, the first of which is started again when it has run for so long."""
    room = subprocess.Popen(
        [sys.executable, "-c", ROOM_OF_TWO, NEEDED, NEEDS, str(place), str(again_after_s)],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: bool(_read_pids(folder / "needs")), room)
        yield room
    finally:
        room.kill()
        room.wait()


def test_what_others_need_is_there_first_and_is_started_again(tmp_path: Path) -> None:
    needed = tmp_path / "needed"
    with tempfile.TemporaryDirectory() as short, open_room(tmp_path, Path(short, "place"), 0.0) as room:
        (page,) = _read_pids(tmp_path / "needs")
        os.kill(_read_pids(needed)[0], signal.SIGKILL)
        wait_until(lambda: len(_read_pids(needed)) > 1, room)
        assert is_there(page)
        # It is seen before it is gone.
        time.sleep(LOOK_EVERY_S * 4)
        # Somebody tidies temporary files: nobody could ever reach it again.
        shutil.rmtree(short)
        wait_until(lambda: len(_read_pids(needed)) > 2, room)
        assert (is_there(page), Path(short, "place").is_socket()) == (True, True)
        room.terminate()
        said, _ = room.communicate(timeout=PATIENCE_S)
        assert (room.returncode, is_there(page)) == (0, False)
    again, tidied, ended = said.splitlines()
    assert again.startswith("The code ended unexpectedly (exit code -9) and is started again.")
    assert tidied.startswith("The code can't be reached any more, because somebody has removed")
    assert ended == "Stopping Dagster ..."


def test_what_ends_as_soon_as_it_is_started_is_not_started_again(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as short, open_room(tmp_path, Path(short, "place"), 3600.0) as room:
        (page,) = _read_pids(tmp_path / "needs")
        os.kill(_read_pids(tmp_path / "needed")[0], signal.SIGKILL)
        said, _ = room.communicate(timeout=PATIENCE_S)
        assert (room.returncode, is_there(page)) == (1, False)
    assert said.startswith("The code ended unexpectedly (exit code -9), so everything else is stopped too")


def test_services_end_with_a_control_room_that_is_killed(tmp_path: Path) -> None:
    room = subprocess.Popen([sys.executable, "-c", ROOM, SERVICE], cwd=tmp_path, env=environment(tmp_path))
    said = tmp_path / "pids"
    pids: list[int] = []
    try:
        wait_until(said.exists, room)
        pids = [int(word) for word in said.read_text().split()]
        room.kill()
        room.wait()
        bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        try:
            wait_until(lambda: not any(map(is_there, pids)), bystander)
        finally:
            bystander.kill()
            bystander.wait()
    finally:
        room.kill()
        room.wait()
        for pid in filter(is_there, pids):
            os.kill(pid, signal.SIGKILL)


def test_a_folder_of_another_user_takes_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes the folder after somebody has tidied temporary files could answer in the place of our code."""
    code = Service("The code", [sys.executable, "-c", ""], tmp_path / "code")
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(SunledgerError, match="belongs to another user"):
        run_services([code], {}, print)


def test_a_home_has_one_daemon(tmp_path: Path) -> None:
    """Two ran side by side, and each logged that another one sends heartbeats."""
    with hold_daemon_lock(tmp_path):
        with pytest.raises(StartLockedError, match=rf"running already, started by process {os.getpid()} "):
            hold_daemon_lock(tmp_path).__enter__()
        # A page alone needs none, and another home has its own.
        other = tmp_path / "other"
        other.mkdir()
        with hold_daemon_lock(other):
            pass
    with hold_daemon_lock(tmp_path):
        pass
