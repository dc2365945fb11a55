"""The real program with several credentials against the sandbox: one warehouse, as by one credential that sees all."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from sandbox.launch import SandboxAddress, run_sandbox
from schemas import ApiRequests, EnergyDaily
from tests.programs import run
from tests.torture.compare import differences, tables_of, with_any_period
from warehouse.lake import Lake

pytestmark = pytest.mark.long

FLEET = ("--plants", "4")
DAYS = ("--from", "2025-06-02", "--to", "2025-06-02")
BACKFILL = ("backfill", *DAYS, "--yes")
CLIENTS = {"south": "sandbox-custom", "north": "sandbox-custom-2"}


@pytest.fixture(scope="module")
def sma() -> Iterator[SandboxAddress]:
    """A sandbox that refuses a client more than its own budget."""
    with run_sandbox(*FLEET, "--more-clients", "1", "--requests-per-5-min", "400") as address:
        yield address


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run by one credential that sees all plants."""
    folder = tmp_path_factory.mktemp("alone")
    with run_sandbox(*FLEET) as address:
        code, said = run(folder, *BACKFILL, **address.settings())
    assert code == 0, said
    return folder


def list_credentials(folder: Path, sma: SandboxAddress, **secrets: str) -> dict[str, str]:
    """Settings with a file of both clients, in which a credential may have another secret."""
    file = folder / "credentials.toml"
    file.write_text(
        "\n".join(
            f'[[credential]]\nname = "{name}"\nclient_id = "{client}"\nrequests_per_5_min = 400\n'
            f'client_secret = "{secrets.get(name, sma.client_secret)}"\n'
            for name, client in CLIENTS.items()
        )
    )
    file.chmod(0o600)
    given = {key: value for key, value in sma.settings().items() if "CLIENT" not in key and key != "SMA_FLOW"}
    return {**given, "SMA_CREDENTIALS": str(file)}


def count_strangers(sma: SandboxAddress) -> dict[str, int]:
    """How many requests of each client were for plants that it may not see."""
    with urllib.request.urlopen(f"{sma.url}/_control") as answer:  # noqa: S310 - loopback
        found: dict[str, int] = json.load(answer)["strangers"]
        return found


def read_requests(folder: Path) -> pl.DataFrame:
    lake = Lake(str(folder / "home" / "lake"), folder / "tmp")
    return lake.scan(ApiRequests).filter(pl.col("endpoint") != "token").collect()


def read_days(folder: Path) -> pl.DataFrame:
    lake = Lake(str(folder / "home" / "lake"), folder / "tmp")
    return lake.scan(EnergyDaily).sort("plant_id", "local_date").collect()


def assert_equal_but_for_lists(alone: Path, folder: Path) -> None:
    """All tables are equal, row by row; of the lists of plants each credential has its own."""
    found = differences(*(with_any_period(tables_of(one / "home")) for one in (alone, folder)))
    assert [one for one in found if not one.startswith("lake raw_plants: 1 rows became 2")] == []


def test_two_fleets_by_two_credentials_are_the_warehouse_of_one_that_sees_all(
    sma: SandboxAddress, alone: Path, tmp_path: Path
) -> None:
    given = list_credentials(tmp_path, sma)
    code, said = run(tmp_path, "plan", *DAYS, **given)
    assert code == 0, said
    assert "by credential, side by side" in said
    code, said = run(tmp_path, *BACKFILL, **given)
    assert code == 0, said
    assert_equal_but_for_lists(alone, tmp_path)
    assert count_strangers(sma) == {}
    found, expected = read_requests(tmp_path), read_requests(alone)
    assert not found.filter(pl.col("status") == 429).height
    # Each credential's own list is asked for; all else as often as by one credential.
    counts, others = (one["endpoint"].value_counts().sort("endpoint") for one in (found, expected))
    lists = pl.col("endpoint") == "plants"
    assert counts.filter(~lists).equals(others.filter(~lists))


def test_a_refused_credential_leaves_the_others_plants_done(
    sma: SandboxAddress, alone: Path, tmp_path: Path
) -> None:
    given = list_credentials(tmp_path, sma, north="another secret")
    code, said = run(tmp_path, *BACKFILL, **given)
    assert code == 3, said
    assert "The credential north can't be used, so its plants are not asked for" in said
    assert "another secret" not in said
    done, whole = (read_days(one) for one in (tmp_path, alone))
    # Its list never came, so nothing is known of its plants yet.
    assert 0 < done.height < whole.height
    assert done.equals(whole.join(done, on="plant_id", how="semi"))
    code, said = run(tmp_path, *BACKFILL, **list_credentials(tmp_path, sma))
    assert code == 0, said
    assert read_days(tmp_path).equals(whole)
    assert count_strangers(sma) == {}
