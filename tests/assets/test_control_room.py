"""The services of a control room end with the process that runs them, however that ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.programs import environment, wait_until

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


def _is_there(pid: int) -> bool:
    try:
        # What has ended and is not yet taken note of by its parent is a zombie.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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
            wait_until(lambda: not any(map(_is_there, pids)), bystander)
        finally:
            bystander.kill()
            bystander.wait()
    finally:
        room.kill()
        room.wait()
        for pid in filter(_is_there, pids):
            os.kill(pid, signal.SIGKILL)
