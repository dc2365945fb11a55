"""Ways of ending a program before its time. Each says at which moment it struck.

| manner | what happens | needs |
|---|---|---|
| `kill` | SIGKILL after a part of the time that the undisturbed run took | |
| `write` | SIGKILL after so many calls of write, which gathers the kills where something is written | |
| `rename` | SIGKILL at the Nth change of a file's name, between what two files say of each other | strace |
| `term` | SIGTERM after a part of the time | |
| `memory` | RLIMIT_AS: an allocation fails somewhere | prlimit |
| `oom` | a limit of the kernel's control group: the kernel kills it | root, cgroups |
| `disk` | a disk that becomes full: a small tmpfs | root |
| `enospc` | from the Nth call on, everything that writes says "No space left on device" | strace |
| `eio` | the Nth fsync fails, as a bad disk's does | strace |
"""

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.torture.programs import MB, Ended, Running
from tests.torture.states import Act, Stage

MOUNT, UMOUNT = shutil.which("mount") or "", shutil.which("umount") or ""
CGROUPS = Path("/sys/fs/cgroup/memory")
RENAMES = "rename,renameat,renameat2,link,linkat"
WRITES = "write,pwrite64,writev,pwritev,ftruncate,fallocate,mkdir,mkdirat"
STRACE = ("strace", "-f", "-qqq", "-o", "/dev/null", "--seccomp-bpf", "--signal=none")


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
    strike: Callable[[Stage, Act, random.Random], Struck]
    lacks: Callable[[], str]


def _undisturbed(stage: Stage, act: Act) -> Ended:
    made = stage.state(act.goal).made
    assert made
    return made


def _when(stage: Stage, act: Act, rng: random.Random, number: signal.Signals) -> Struck:
    # A little beyond its end, so that its last moments are met too, on a machine that is slower now as well.
    after_s = rng.uniform(0.02, 1.1) * _undisturbed(stage, act).seconds

    def strike(running: Running) -> bool:
        if running.seconds < after_s:
            return False
        running.send(number)
        return True

    ended = Running(stage.path, *act.words, **stage.settings(act)).end(until=strike)
    return Struck(ended, f"{number.name} after {after_s:.2f} s")


def _kill(stage: Stage, act: Act, rng: random.Random) -> Struck:
    return _when(stage, act, rng, signal.SIGKILL)


def _term(stage: Stage, act: Act, rng: random.Random) -> Struck:
    return _when(stage, act, rng, signal.SIGTERM)


def _write(stage: Stage, act: Act, rng: random.Random) -> Struck:
    count = int(rng.uniform(0.01, 1.0) * _undisturbed(stage, act).writes)

    def strike(running: Running) -> bool:
        if running.writes < count:
            return False
        running.send(signal.SIGKILL)
        return True

    ended = Running(stage.path, *act.words, **stage.settings(act)).end(until=strike)
    return Struck(ended, f"SIGKILL after {count} writes")


def _inject(stage: Stage, act: Act, inject: str, calls: str) -> Ended:
    prefix = (*STRACE, f"--trace={calls}", f"--inject={inject}")
    return Running(stage.path, *act.words, prefix=prefix, **stage.settings(act)).end()


def _rename(stage: Stage, act: Act, rng: random.Random) -> Struck:
    # strace counts the calls of each thread, and no thread changes more names than this.
    number = rng.randint(1, 20 if act.needs_sma else 10)
    ended = _inject(stage, act, f"{RENAMES}:signal=KILL:when={number}", RENAMES)
    return Struck(ended, f"SIGKILL at a thread's change of name {number}")


def _enospc(stage: Stage, act: Act, rng: random.Random) -> Struck:
    number = int(rng.uniform(0, 0.6) * _undisturbed(stage, act).writes) + 1
    ended = _inject(stage, act, f"{WRITES}:error=ENOSPC:when={number}+", WRITES)
    return Struck(ended, f"ENOSPC from a thread's write {number} on")


def _eio(stage: Stage, act: Act, rng: random.Random) -> Struck:
    number = rng.randint(1, 60)
    ended = _inject(stage, act, f"fsync,fdatasync:error=EIO:when={number}", "fsync,fdatasync")
    return Struck(ended, f"EIO at a thread's fsync {number}")


def _memory(stage: Stage, act: Act, rng: random.Random) -> Struck:
    limit_mb = rng.randint(500, 2600)
    prefix = ("prlimit", f"--as={limit_mb * MB}")
    ended = Running(stage.path, *act.words, prefix=prefix, **stage.settings(act)).end()
    return Struck(ended, f"RLIMIT_AS of {limit_mb} MB")


def _oom(stage: Stage, act: Act, rng: random.Random) -> Struck:
    limit_mb = rng.randint(120, max(160, int(_undisturbed(stage, act).peak_mb)))
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
        group.rmdir()


def _disk(stage: Stage, act: Act, rng: random.Random) -> Struck:
    """The stage itself becomes a small disk; what is on it is copied back once it has room again."""
    used = _size(stage.path)
    # What the act adds: from nothing at all to a little more than it needs.
    grows = max(_size(stage.state(act.goal).folder) - used, 3 * MB)
    size = int(used * 1.03 + rng.uniform(0.0, 1.2) * grows) + 64 * 1024
    held = stage.path.with_name("held")
    shutil.copytree(stage.path, held, symlinks=True)
    with ExitStack() as undo:
        subprocess.run([MOUNT, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(stage.path)], check=True)
        undo.callback(subprocess.run, [UMOUNT, "-l", str(stage.path)], check=True)
        shutil.copytree(held, stage.path, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(held)
        ended = Running(stage.path, *act.words, **stage.settings(act)).end()
        shutil.copytree(stage.path, held, symlinks=True)
    stage.clear()
    shutil.copytree(held, stage.path, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(held)
    return Struck(ended, f"a disk of {size / MB:.2f} MB")


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


def _has_cgroups() -> bool:
    return (CGROUPS / "memory.limit_in_bytes").exists() and os.access(CGROUPS, os.W_OK)


MANNERS = {
    manner.name: manner
    for manner in (
        Manner("write", _write, _nothing),
        Manner("rename", _rename, _program("strace")),
        Manner("kill", _kill, _nothing),
        Manner("disk", _disk, _root_and(_can_mount, "there is no mount")),
        Manner("term", _term, _nothing),
        Manner("memory", _memory, _program("prlimit")),
        Manner("enospc", _enospc, _program("strace")),
        Manner("oom", _oom, _root_and(_has_cgroups, "there are no control groups of memory")),
        Manner("eio", _eio, _program("strace")),
    )
}
