"""A service that gives one useless answer for ever: each command ends with a sentence, and the next run heals."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.launch import run_sandbox
from tests.e2e.gateway import LASTING, Gateway, open_gateway
from tests.programs import ONE_SET, run

DAYS = ("--from", "2024-06-03", "--to", "2024-06-04", "--yes")
SENTENCES = {
    "503": "answered 503 Service Unavailable, the last of 6 tries",
    "cut": "was truncated or damaged",
    "a page": "answered 200, but not with {asked}",
    "nothing": "answered 200, but not with {asked}",
}


@pytest.fixture(scope="module")
def gateway() -> Iterator[tuple[Gateway, dict[str, str]]]:
    with run_sandbox("--plants", "3", "--seed", "7") as box:
        settings = {name: str(value) for name, value in box.settings().items()} | ONE_SET
        with open_gateway(settings["SMA_MONITORING_URL"]) as opened:
            yield opened, settings | {"SMA_MONITORING_URL": opened.url}


@pytest.mark.waits
@pytest.mark.parametrize(
    "kinds",
    [
        # What is answered badly, and what is answered wrongly.
        pytest.param(("503", "a page"), marks=pytest.mark.long, id="samples"),
        pytest.param(("cut", "nothing"), marks=pytest.mark.exhaustive, id="the others"),
    ],
)
def test_each_command_ends_with_a_sentence_and_the_next_run_heals(
    gateway: tuple[Gateway, dict[str, str]], tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    before, settings = gateway
    new, old = tmp_path / "new", tmp_path / "old"
    new.mkdir()
    old.mkdir()
    assert run(old, "backfill", *DAYS, **settings)[0] == 0
    try:
        # A list that can't be had is asked for in all its tries. Who knows no plant asks for nothing else, and who
        # knows some asks for the devices of these three.
        for kind, (home, words, asked, most) in itertools.product(
            kinds,
            (
                (new, ("refresh", "--yes"), "plants", 6),
                (old, ("backfill", "--again", *DAYS), "devices", 6 + 3 * 6),
            ),
        ):
            before.answer, before.asked = LASTING[kind], 0
            code, said = run(home, *words, **settings)
            assert (code, "Traceback" in said, "bug" in said) == (1, False, False), said
            assert SENTENCES[kind].format(asked=asked) in said.splitlines()[-1]
            assert before.asked <= most
        code, said = run(old, "publish", **settings)
        assert code == 0, said
    finally:
        before.answer = None
    for home in (new, old):
        code, said = run(home, "backfill", "--again", *DAYS, **settings)
        assert code == 0, said
        assert run(home, "verify", **settings)[0] == 0
