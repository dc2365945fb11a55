"""Answers that would take gigabytes: the real program sets them aside, and needs little more memory than usual."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.launch import run_sandbox
from tests.e2e.gateway import Gateway, GatewayAnswer, open_gateway
from tests.e2e.peak_memory import measure_peak
from tests.programs import ONE_SET

DAYS = ("--from", "2024-06-03", "--to", "2024-06-03", "--yes")
# A run holds its libraries, and of an answer of 32 MiB that is on its way some copies.
MOST_MB = 1_500


def _measure(rows: str) -> bytes:
    return f'{{"plant":{{"plantId":"5000000"}},"resolution":"FiveMinutes","set":[{rows}]}}'.encode()


def _name_fields(row: int, count: int) -> str:
    names = ",".join(f'"f{row}x{n}":1.5' for n in range(count))
    return f'{{"time":"2024-06-03T12:{row % 60:02}:00",{names}}}'


def build_hostile() -> dict[str, tuple[str, GatewayAnswer]]:
    """Each hostile answer by its name, with the part of a path that it answers."""
    measured, listed = "/plants/5000000/measurements/sets/", "/plants/5000000/devices"
    zipped = {"Content-Encoding": "gzip"}
    bomb = gzip.compress(_measure(" " * 100 * 10**6))
    keys = ",".join(f'"k{n}":1' for n in range(10**6))
    return {
        "2,000 own field names in each of 117 rows": (
            measured,
            (200, {}, _measure(",".join(_name_fields(row, 2_000) for row in range(117)))),
        ),
        "a depth of 10,000": (measured, (200, {}, _measure("[" * 10_000 + "]" * 10_000))),
        "a depth of 10,000 in a list": (
            listed,
            (200, {}, b'{"devices":[' + b"[" * 10_000 + b"]" * 10_000 + b"]}"),
        ),
        "1,000,000 keys": (measured, (200, {}, _measure(f'{{"time":"2024-06-03T12:00:00",{keys}}}'))),
        "1,000,000 keys in a list": (
            listed,
            (200, {}, f'{{"devices":[{{"deviceId":"1",{keys}}}]}}'.encode()),
        ),
        "100 MB in a gzip of 100 kB": (measured, (200, zipped, bomb)),
        "a text of 50 MB": (measured, (200, {}, _measure('"' + "x" * 50 * 10**6 + '"'))),
    }


@pytest.fixture(scope="module")
def gateway() -> Iterator[tuple[Gateway, dict[str, str]]]:
    with run_sandbox("--plants", "3", "--seed", "7") as box:
        settings = {name: str(value) for name, value in box.settings().items()}
        settings |= ONE_SET
        with open_gateway(settings["SMA_MONITORING_URL"]) as opened:
            yield opened, settings | {"SMA_MONITORING_URL": opened.url}


# Too many fields, too many keys and too much text are the sample.
@pytest.mark.parametrize(
    "every", [pytest.param(3, marks=pytest.mark.long), pytest.param(1, marks=pytest.mark.exhaustive)]
)
def test_no_answer_takes_more_memory_than_a_usual_run_and_some_copies_of_it(
    gateway: tuple[Gateway, dict[str, str]], tmp_path: Path, every: int
) -> None:
    before, settings = gateway
    for number, (name, (where, answer)) in enumerate(list(build_hostile().items())[::every]):
        home = tmp_path / str(number)
        home.mkdir()
        before.where, before.answer = where, answer
        code, said, peak_mb = measure_peak(home, "backfill", *DAYS, **settings)
        print(name, code, peak_mb)  # noqa: T201 - the figures of docs/reliability.md
        assert peak_mb < MOST_MB, (name, said)
        assert (code in {0, 3}, "Traceback" in said, len(said) < 20_000) == (True, False, True), (name, said)
