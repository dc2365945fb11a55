"""Ways of ending a program before its time. Each is drawn as one number, so that it can be struck again.

| manner | what happens | needs |
|---|---|---|
| `kill` | SIGKILL after a part of the time that the undisturbed run took | |
| `write` | SIGKILL after a part of its calls of write, which gathers the kills where something is written | |
| `term-write` | SIGTERM after a part of its calls of write | |
| `rename` | SIGKILL at the Nth change of a file's name, between what two files say of each other | strace |
| `term` | SIGTERM after a part of the time | |
| `memory` | RLIMIT_AS: an allocation fails somewhere | prlimit |
| `oom` | a limit of the kernel's control group: the kernel kills it | root, cgroups |
| `disk` | a disk that becomes full: a small tmpfs | root |
| `eio` | the Nth fsync fails, as a bad disk's does | strace |
"""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.torture.programs import MB, Ended, Running
from tests.torture.states import Act, Stage

MOUNT, UMOUNT = shutil.which("mount") or "", shutil.which("umount") or ""
CGROUPS = Path("/sys/fs/cgroup/memory")
RENAMES = "rename,renameat,renameat2,link,linkat"
STRACE = ("strace", "-f", "-qqq", "-o", "/dev/null", "--signal=none")
# It stops at these calls alone, which is faster. strace 6.1 on Linux 6.18 loses signals in this way, but no errors.
AT_CALLS_ALONE = "--seccomp-bpf"


@dataclass(frozen=True, slots=True)
class Struck:
    """The program that was struck, and by what: `moment` is read by people, and can be given again."""

    ended: Ended
    moment: str

    def before(self, done: int) -> bool:
        """Whether it was struck before it had done its work, which ends with the exit code `done`."""
        return self.ended.code != done


@dataclass(frozen=True, slots=True)
class Manner:
    """A way, and what this machine lacks for it (empty: nothing)."""

    name: str
    draw: Callable[[Act, random.Random], float]
    strike: Callable[[Stage, Act, float], Struck]
    lacks: Callable[[], str]


def _undisturbed(stage: Stage, act: Act) -> Ended:
    made = stage.state(act.goal).made
    assert made
    assert made.writes, f"The stage does not measure {act.name}."
    return made


def _draw_part(_: Act, rng: random.Random) -> float:
    return round(rng.uniform(0.01, 1.0), 4)


def _draw_time(_: Act, rng: random.Random) -> float:
    # A little beyond its end, so that its last moments are met too, on a machine that is slower now as well.
    return round(rng.uniform(0.01, 1.1), 4)


def _after_time(number: signal.Signals) -> Callable[[Stage, Act, float], Struck]:
    def strike(stage: Stage, act: Act, part: float) -> Struck:
        after_s = part * _undisturbed(stage, act).seconds
        ended = _send_once(stage, act, number, lambda running: running.seconds >= after_s)
        return Struck(ended, f"{number.name} after {after_s:.2f} s")

    return strike


def _after_writes(number: signal.Signals) -> Callable[[Stage, Act, float], Struck]:
    def strike(stage: Stage, act: Act, part: float) -> Struck:
        count = int(part * _undisturbed(stage, act).writes)
        ended = _send_once(stage, act, number, lambda running: running.writes >= count)
        return Struck(ended, f"{number.name} after {count} writes")

    return strike


def _send_once(stage: Stage, act: Act, number: signal.Signals, due: Callable[[Running], bool]) -> Ended:
    def strike(running: Running) -> bool:
        if not due(running):
            return False
        running.send(number)
        return True

    return Running(stage.path, *act.words, **stage.settings(act)).end(until=strike)


def _inject(stage: Stage, act: Act, inject: str, calls: str, *more: str) -> Ended:
    prefix = (*STRACE, *more, f"--trace={calls}", f"--inject={inject}")
    return Running(stage.path, *act.words, prefix=prefix, **stage.settings(act)).end()


def _draw_rename(act: Act, rng: random.Random) -> float:
    # strace counts the calls of each thread, and no thread changes more names than this.
    return rng.randint(1, 20 if act.needs_sma else 7)


def _rename(stage: Stage, act: Act, number: float) -> Struck:
    ended = _inject(stage, act, f"{RENAMES}:signal=KILL:when={number:.0f}", RENAMES)
    return Struck(ended, f"SIGKILL at a thread's change of name {number:.0f}")


def _draw_fsync(_: Act, rng: random.Random) -> float:
    return rng.randint(1, 60)


def _eio(stage: Stage, act: Act, number: float) -> Struck:
    ended = _inject(
        stage, act, f"fsync,fdatasync:error=EIO:when={number:.0f}", "fsync,fdatasync", AT_CALLS_ALONE
    )
    return Struck(ended, f"EIO at a thread's fsync {number:.0f}")


def _draw_space(_: Act, rng: random.Random) -> float:
    return rng.randint(500, 2600)


def _memory(stage: Stage, act: Act, limit_mb: float) -> Struck:
    prefix = ("prlimit", f"--as={int(limit_mb) * MB}")
    ended = Running(stage.path, *act.words, prefix=prefix, **stage.settings(act)).end()
    return Struck(ended, f"RLIMIT_AS of {limit_mb:.0f} MB")


def _oom(stage: Stage, act: Act, part: float) -> Struck:
    limit_mb = 120 + int(part * max(40.0, _undisturbed(stage, act).peak_mb - 120))
    with _control_group(limit_mb) as join:
        ended = Running(stage.path, *act.words, prefix=join, **stage.settings(act)).end()
    return Struck(ended, f"the kernel's limit of {limit_mb} MB")


@contextmanager
def _control_group(limit_mb: int) -> Iterator[Sequence[str]]:
    """A control group of our own, and the words that put a program into it."""
    group = CGROUPS / f"sunledger-torture-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit_mb * MB))
        yield ("/bin/sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")
    finally:
        _remove_group(group)


def _remove_group(group: Path) -> None:
    """Remove the control group once the kernel has cleared its ended processes away."""
    for _ in range(600):
        with suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.1)
    group.rmdir()


def _draw_room(_: Act, rng: random.Random) -> float:
    # From nothing at all to a little more than it needs.
    return round(rng.uniform(0.0, 1.2), 4)


def _disk(stage: Stage, act: Act, part: float) -> Struck:
    with small_disk(stage, act, part) as size:
        ended = Running(stage.path, *act.words, **stage.settings(act)).end()
    return Struck(ended, f"a disk of {size / MB:.2f} MB")


@contextmanager
def small_disk(stage: Stage, act: Act, part: float) -> Iterator[int]:
    """The stage as a disk of so many bytes: it has room for that part of what the act adds.

    When the block ends, what is on it is copied back to where there is room.
    """
    used = _size(stage.path)
    grows = max(_size(stage.state(act.goal).folder) - used, 3 * MB)
    size = int(used * 1.03 + part * grows) + 64 * 1024
    held = stage.path.with_name("held")
    shutil.copytree(stage.path, held, symlinks=True)
    with ExitStack() as undo:
        subprocess.run([MOUNT, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(stage.path)], check=True)
        undo.callback(subprocess.run, [UMOUNT, "-l", str(stage.path)], check=True)
        shutil.copytree(held, stage.path, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(held)
        yield size
        shutil.copytree(stage.path, held, symlinks=True)
    stage.clear()
    shutil.copytree(held, stage.path, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(held)


def _size(folder: Path) -> int:
    """Bytes in whole blocks, as a small disk counts them."""
    return sum(-(-path.stat().st_size // 4096) * 4096 + 4096 for path in folder.rglob("*") if path.is_file())


def _nothing() -> str:
    return ""


def _program(name: str) -> Callable[[], str]:
    return lambda: "" if shutil.which(name) else f"{name} is not installed"


def _root_and(what: Callable[[], bool], why: str) -> Callable[[], str]:
    def lacks() -> str:
        return "it takes root" if os.getuid() else "" if what() else why

    return lacks


def _can_mount() -> bool:
    return bool(MOUNT and UMOUNT)


def lacks_disk() -> str:
    """Why there can be no small disk; empty where there can."""
    return _root_and(_can_mount, "there is no mount")()


def _has_cgroups() -> bool:
    return (CGROUPS / "memory.limit_in_bytes").exists() and os.access(CGROUPS, os.W_OK)


MANNERS = {
    manner.name: manner
    for manner in (
        Manner("write", _draw_part, _after_writes(signal.SIGKILL), _nothing),
        Manner("rename", _draw_rename, _rename, _program("strace")),
        Manner("kill", _draw_time, _after_time(signal.SIGKILL), _nothing),
        Manner("disk", _draw_room, _disk, lacks_disk),
        Manner("term", _draw_time, _after_time(signal.SIGTERM), _nothing),
        Manner("memory", _draw_space, _memory, _program("prlimit")),
        Manner("oom", _draw_part, _oom, _root_and(_has_cgroups, "there are no control groups of memory")),
        Manner("eio", _draw_fsync, _eio, _program("strace")),
        Manner("term-write", _draw_part, _after_writes(signal.SIGTERM), _nothing),
    )
}
