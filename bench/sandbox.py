"""What a plant-day costs the sandbox: `python -m bench.sandbox`, at the repository's root.

Cold answers are computed from the model for the first time, in the order of a backfill: day by day over the fleet.
Kept answers were given before. What counts is the CPU time of the server's process alone (user and system), read from
the system before and after; the load comes from this process, over a few keep-alive connections. Linux only.

`--soak 1000000` asks so many questions instead, one in fifty of them cold, and shows the memory on the way.
"""

import argparse
import asyncio
import datetime as dt
import itertools
import json
import os
import random
import re
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.address import SandboxAddress
from sandbox.fleet.plant_model import Role
from sandbox.fleet.simulated_fleet import FIVE_MINUTES, build_fleet
from sandbox.launch import run_sandbox
from sandbox.options import Options
from sandbox.series import set_names

FIRST_DAY = dt.date(2025, 6, 10)
CONNECTIONS = 4
KEPT_PASSES = 5
SOAKED_PLANTS = 300
SOAKED_COLD_ONE_IN = 50
_LENGTH = re.compile(rb"content-length: ([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Measured:
    """How many answers of how many bytes cost the server so many CPU seconds."""

    answers: int
    sent_bytes: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Case:
    """A fleet and which of its plants (or their inverters) are asked."""

    plants: int
    days: int
    what: str
    set_type: str = set_names.ENERGY_BALANCE


ALL = "all plants"
IN_NO_ORDER = "all plants, in no order"
CASES = (
    Case(100, 12, ALL),
    Case(300, 6, ALL),
    Case(1000, 6, ALL),
    Case(1000, 30, "5 minutes, with battery"),
    Case(300, 3, "all inverters", set_names.PV),
    Case(300, 4, IN_NO_ORDER),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.sandbox", description="What a plant-day costs the sandbox."
    )
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="connections (default 4)")
    parser.add_argument("--soak", type=int, default=0, help="show the memory over so many answers instead")
    connections, soak = parser.parse_args().connections, parser.parse_args().soak
    print(f"Load of this machine over the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if soak:
        with run_sandbox("--plants", str(SOAKED_PLANTS)) as address:
            _soak(address, soak, connections)
        return
    print(f"Answers per CPU second of the sandbox, {connections} connections")
    _line("fleet", "asked", "answers", "kB each", "cold", "kept", "MB at end")
    for case in CASES:
        with run_sandbox("--plants", str(case.plants)) as address:
            _measure(case, address, connections)


def _measure(case: Case, address: SandboxAddress, connections: int) -> None:
    """One line: the cold answers of all days, then the last answers again and again."""
    token = _token(address)
    paths = _paths(case)
    cold_days = [FIRST_DAY + dt.timedelta(days=number) for number in range(case.days)]
    # What is computed once, and not for each answer.
    _load(address, token, _questions(paths[:2], [FIRST_DAY - dt.timedelta(days=90)]), connections)
    questions = list(_questions(paths, cold_days))
    if case.what == IN_NO_ORDER:
        random.Random(1).shuffle(questions)  # noqa: S311 - no secret
    cold = _load(address, token, questions, connections)
    recent = questions[-300:]
    kept = _load(address, token, recent * KEPT_PASSES, connections)
    _line(
        f"{case.plants}",
        case.what,
        f"{cold.answers:,}",
        f"{cold.sent_bytes / cold.answers / 1000:.0f}",
        f"{cold.answers / cold.cpu_s:,.0f}",
        f"{kept.answers / kept.cpu_s:,.0f}",
        f"{_memory_mb(_pid(address)):,.0f}",
    )


def _soak(address: SandboxAddress, answers: int, connections: int) -> None:
    """Twenty lines: how much memory the server holds after each twentieth of the answers."""
    paths = _paths(Case(SOAKED_PLANTS, 1, ALL))
    cold = itertools.cycle(
        _questions(paths, (FIRST_DAY - dt.timedelta(days=number) for number in range(1500)))
    )
    kept = itertools.cycle(list(_questions(paths[:100], [FIRST_DAY + dt.timedelta(days=1)])))
    print(f"{'answers':>10}{'cold':>10}{'a CPU second':>14}{'MB':>8}")
    part = answers // 20
    for number in range(1, 21):
        mixed = (next(cold if at % SOAKED_COLD_ONE_IN == 0 else kept) for at in range(part))
        measured = _load(address, _token(address), mixed, connections)
        rate = measured.answers / measured.cpu_s
        memory = _memory_mb(_pid(address))
        print(
            f"{number * part:>10,}{number * part // SOAKED_COLD_ONE_IN:>10,}{rate:>14,.0f}{memory:>8,.0f}",
            flush=True,
        )


def _paths(case: Case) -> list[str]:
    """What the case asks, in the order of the fleet's list."""
    fleet = build_fleet(case.plants, Options().seed)
    if case.set_type == set_names.PV:
        inverters = [device.device_id for plant in fleet for device in plant.with_role(Role.INVERTER)]
        return [
            f"/monitoring/v1/devices/{device_id}/measurements/sets/{set_names.PV}/Day"
            for device_id in inverters
        ]
    asked = [
        plant
        for plant in fleet
        if case.what in (ALL, IN_NO_ORDER) or (plant.battery and plant.step_s == FIVE_MINUTES)
    ]
    return [
        f"/monitoring/v1/plants/{plant.plant_id}/measurements/sets/{case.set_type}/Day" for plant in asked
    ]


def _questions(paths: Sequence[str], days: Iterable[dt.date]) -> Iterator[str]:
    return (f"{path}?Date={day.isoformat()}" for day in days for path in paths)


def _load(address: SandboxAddress, token: str, questions: Iterable[str], connections: int) -> Measured:
    """Ask everything once, in this order, over some connections; raises RuntimeError for an answer other than 200."""
    before = _cpu_seconds(_pid(address))
    answers, size = asyncio.run(_ask_all(address, token, iter(questions), connections))
    return Measured(answers, size, _cpu_seconds(_pid(address)) - before)


async def _ask_all(
    address: SandboxAddress, token: str, questions: Iterator[str], connections: int
) -> tuple[int, int]:
    sizes = await asyncio.gather(*(_ask(address, token, questions) for _ in range(connections)))
    return sum(len(some) for some in sizes), sum(sum(some) for some in sizes)


async def _ask(address: SandboxAddress, token: str, questions: Iterator[str]) -> list[int]:
    """One connection: the next question as soon as the last answer is there. Returns the bodies' sizes."""
    url = urlsplit(address.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port, limit=1 << 20)
    sizes: list[int] = []
    for question in questions:
        writer.write(
            f"GET {question} HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None or not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{question} was answered with {head[:80]!r}")
        sizes.append(len(await reader.readexactly(int(length[1]))))
    writer.close()
    await writer.wait_closed()
    return sizes


def _token(address: SandboxAddress) -> str:
    settings = address.settings()
    form = (
        f"grant_type=client_credentials&client_id={settings['SMA_CLIENT_ID']}"
        f"&client_secret={settings['SMA_CLIENT_SECRET']}"
    )
    with urllib.request.urlopen(f"{address.url}/oauth2/token", form.encode()) as answer:  # noqa: S310 - loopback
        token: str = json.load(answer)["access_token"]
    return token


def _pid(address: SandboxAddress) -> int:
    if address.pid is None:
        raise RuntimeError("The sandbox does not say which process it is.")
    return address.pid


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process, all threads, since it began."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    """Memory that a process holds now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _line(*cells: str) -> None:
    print("".join(f"{cell:>{width}}" for cell, width in zip(cells, (6, 26, 10, 10, 9, 9, 11), strict=True)))


if __name__ == "__main__":
    main()
