"""The program as a user meets it: a process of its own, its exit code, its words, and never a traceback."""

import re
import signal
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from pipeline.cli.commands import app
from pipeline.common import settings_docs
from sandbox.launch import SandboxAddress, run_sandbox
from tests.programs import PATIENCE_S, STRICT_PROGRAM, environment, sunledger

CREDENTIALS = {"SMA_CLIENT_ID": "someone", "SMA_CLIENT_SECRET": "hush-hush"}
NOBODY = {"SMA_AUTH_URL": "http://127.0.0.1:9", "SMA_MONITORING_URL": "http://127.0.0.1:9/monitoring"}
OCTOBER = ["--from", "2021-10-01", "--to", "2021-10-01"]


@pytest.mark.parametrize(
    ("words", "settings", "code", "says"),
    [
        (["backfill", *OCTOBER], {}, 2, "SMA_CLIENT_ID and SMA_CLIENT_SECRET are not set"),
        (["backfill", *OCTOBER], {"SMA_CLIENT_ID": "someone"}, 2, "SMA_CLIENT_SECRET is not set"),
        (["backfill", "--from", "2021-13-01", "--to", "2021-10-01"], {}, 2, "2021-13-01 is not a day"),
        (["backfill", "--from", "2021-10-02", "--to", "2021-10-01"], {}, 2, "swap them"),
        (["backfill", "--from", "2021-10-02", "--to", "2999-10-01"], {}, 2, "is in the future"),
        (["backfill", "--from", "2001-10-02", "--to", "2021-10-01"], {}, 2, "SUNLEDGER_FIRST_DAY"),
        (["backfill", "--from", "2021-10-01"], {}, 2, "Missing option '--to'"),
        (["backfill", *OCTOBER, "--plants", ","], {}, 2, "The option --plants is empty"),
        (["bakfill"], {}, 2, "No such command 'bakfill'"),
        (["backfill", *OCTOBER], CREDENTIALS | {"SMA_AUTH_URL": "http://example.com"}, 2, "use https"),
        (["backfill", *OCTOBER], {"SMA_TIME_BASIS": "local"}, 2, "SMA_TIME_BASIS=local is wrong"),
        (
            ["backfill", *OCTOBER],
            CREDENTIALS | {"SUNLEDGER_PRICES": "none.toml"},
            2,
            "none.toml can't be read",
        ),
        (["billing", "check", "none.csv"], {}, 2, "none.csv can't be read (No such file"),
        (["pack", "--month", "October"], {}, 2, "--month October is not a month"),
        (["sql", "SELECT 1"], {}, 1, "run 'sunledger backfill --from YYYY-MM-DD --to YYYY-MM-DD'"),
        (["report", "--month", "2021-10"], {}, 1, "'sunledger backfill --from YYYY-MM-DD --to YYYY-MM-DD'"),
        (["publish"], {"SUNLEDGER_LAKE": "ftp://x"}, 2, "neither a folder nor s3://"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(
    tmp_path: Path, words: list[str], settings: dict[str, str], code: int, says: str
) -> None:
    result = sunledger(tmp_path, *words, **settings)
    assert result.returncode == code
    assert says in result.stderr
    assert "hush-hush" not in result.stderr + result.stdout


@pytest.mark.long
def test_an_unreachable_host_is_named_with_its_setting(tmp_path: Path) -> None:
    result = sunledger(tmp_path, "backfill", *OCTOBER, **CREDENTIALS, **NOBODY)
    assert result.returncode == 1
    assert "127.0.0.1:9 refused the connection" in result.stderr
    assert "SMA_AUTH_URL" in result.stderr


def test_a_wrong_secret_is_named_with_its_setting(tmp_path: Path, box: SandboxAddress) -> None:
    result = sunledger(tmp_path, "backfill", *OCTOBER, **box.settings() | {"SMA_CLIENT_SECRET": "hush-hush"})
    assert result.returncode == 1
    assert "refused the credentials" in result.stderr
    assert "SMA_CLIENT_SECRET" in result.stderr
    assert "hush-hush" not in result.stderr + result.stdout


def test_an_unknown_plant_is_wrong_usage(tmp_path: Path, box: SandboxAddress) -> None:
    result = sunledger(tmp_path, "backfill", *OCTOBER, "--plants", "77", **box.settings())
    assert result.returncode == 2
    assert "Plant 77 is not in SMA's list of 3 plants" in result.stderr


@pytest.mark.long
def test_backfill_publish_sql(tmp_path: Path, box: SandboxAddress) -> None:
    done = sunledger(tmp_path, "backfill", *OCTOBER, **box.settings())
    assert done.returncode == 0, done.stderr
    assert "Fetched 1 day with" in done.stderr
    query = "SELECT count(*) AS plants, sum(pv_generation_kwh) > 0 AS any_energy FROM energy_daily"
    assert sunledger(tmp_path, "sql", query).stdout.split()[-2:] == ["3", "True"]
    assert sunledger(tmp_path, "sql", query, "--format", "csv").stdout == "plants,any_energy\n3,True\n"
    assert sunledger(tmp_path, "sql", query, "--output", "any.csv").returncode == 0
    assert (tmp_path / "any.csv").read_text() == "plants,any_energy\n3,true\n"
    assert "Wrote 3 rows" in sunledger(tmp_path, "export", "plants", "-o", "plants.xlsx").stderr
    packed = sunledger(tmp_path, "pack", "--month", "2021-10")
    assert packed.returncode == 0, packed.stderr
    assert (tmp_path / "pack-2021-10" / "README.md").is_file()
    bill = sunledger(tmp_path, "billing", "--forecast")
    assert bill.returncode == 0, bill.stderr
    assert "check against your contract" in bill.stdout
    (tmp_path / "invoice.csv").write_text("plant_id;month;fee\n5000000;2021-10;12,45\n")
    checked = sunledger(tmp_path, "billing", "check", "invoice.csv")
    assert (checked.returncode, "theirs only" in checked.stdout) == (3, True)
    wrong = sunledger(tmp_path, "sql", "SELEC 1")
    assert (wrong.returncode, "syntax error" in wrong.stderr) == (2, True)
    assert sunledger(tmp_path, "publish").returncode == 0
    remade = sunledger(tmp_path, "rebuild")
    assert "1 day from 2021-10-01 to 2021-10-01 was rebuilt." in remade.stderr
    assert "fetched with another SMA_TIME_BASIS" in remade.stderr


@pytest.mark.long
def test_what_is_missing_is_listed_and_the_exit_code_says_so(tmp_path: Path) -> None:
    with run_sandbox(
        "--plants", "3", "--seed", "7", "--fault", "status_404=1,plants=5000000,path=EnergyBalance"
    ) as box:
        result = sunledger(tmp_path, "backfill", *OCTOBER, **box.settings())
    assert result.returncode == 3, result.stderr
    assert "Done in part" in result.stdout
    assert "plant 5000000" in result.stdout


def test_doctor(tmp_path: Path, box: SandboxAddress) -> None:
    well = sunledger(tmp_path, "doctor", **box.settings())
    assert well.returncode == 0, well.stdout
    assert "3 plants listed" in well.stdout
    ill = sunledger(tmp_path, "doctor")
    assert ill.returncode == 1
    assert "SMA_CLIENT_ID and SMA_CLIENT_SECRET are not set" in ill.stdout


@pytest.mark.long
def test_ctrl_c_ends_a_backfill_with_a_sentence(tmp_path: Path, box: SandboxAddress) -> None:
    process = subprocess.Popen(
        [*STRICT_PROGRAM, "backfill", "--from", "2021-10-01", "--to", "2021-12-31"],
        cwd=tmp_path,
        env=environment(tmp_path, **box.settings()),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    for line in process.stderr:
        if "2021-10-03 raw_energy_balance" in line:
            process.send_signal(signal.SIGINT)
            break
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait(PATIENCE_S) == 130, rest
    assert "The run was interrupted" in rest
    assert "Traceback" not in rest


def test_the_demo_refuses_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    result = sunledger(tmp_path, "demo", "--folder", str(tmp_path))
    assert result.returncode == 2
    assert "holds files that no demo has written" in result.stderr
    assert (tmp_path / "precious.txt").exists()


def test_the_document_on_settings_is_up_to_date() -> None:
    assert settings_docs.DOCUMENT.read_text() == settings_docs.write_markdown()


def test_the_version_is_that_of_the_package_and_needs_no_home(tmp_path: Path) -> None:
    result = sunledger(tmp_path, "--version")
    assert (result.returncode, result.stdout) == (0, f"sunledger {version('sunledger')}\n")
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_command_and_begins_with_the_first_that_a_user_needs(tmp_path: Path) -> None:
    text = sunledger(tmp_path, "--help").stdout
    named = [line.split()[1] for line in text.splitlines() if line.startswith("│ ") and line[2].isalpha()]
    assert named[0] == "demo"
    assert named.index("doctor") < named.index("plan") < named.index("backfill") < named.index("export")
    assert set(named) == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def list_arguments(command: Any, name: str = "sunledger") -> Iterator[tuple[str, str]]:
    """Each argument's name in the help, with the command that takes it."""
    for word, inner in getattr(command, "commands", {}).items():
        yield from list_arguments(inner, f"{name} {word}")
    yield from (
        (name, one.metavar or one.name) for one in command.params if one.param_type_name == "argument"
    )


@pytest.mark.long
def test_the_help_names_arguments_by_a_word_that_typer_puts_brackets_and_dots_around() -> None:
    found = list(list_arguments(typer.main.get_command(app)))
    assert len(found) > 10
    assert [pair for pair in found if not re.fullmatch(r"[A-Z-]+(\.csv)?", pair[1])] == []
