"""The first start of a home by several processes, and homes that an accident has left unreadable."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from assets.dagster_records.record_databases import DATABASES
from assets.home_setup.dagster_faults import DagsterHomeError
from assets.home_setup.dagster_home import open_dagster, prepare_dagster_home
from assets.home_setup.mend_records import look_at_records, mend_records
from pipeline.common.settings import Settings
from tests.programs import PATIENCE_S, rows, run, start

OLDER = "5771160a95ad"


def versions(folder: Path) -> list[int]:
    """How many versions each of Dagster's databases has."""
    query = "SELECT version_num FROM alembic_version"
    return [len(rows(folder / "home" / "dagster" / name, query)) for name in DATABASES]


# Among the long ones is the same race of `make torture-short`, which looks at more: tests/torture/races.py.
@pytest.mark.exhaustive
def test_several_processes_start_a_new_home_at_once(tmp_path: Path) -> None:
    several = [start(tmp_path, "publish") for _ in range(4)]
    said = [process.communicate(timeout=PATIENCE_S)[0] for process in several]
    assert [process.returncode for process in several] == [0, 0, 0, 0], said
    assert versions(tmp_path) == [1, 1, 1]


def break_versions(home: Path) -> None:
    """Two versions, as two processes left them that set up the same databases at once."""
    for name in DATABASES:
        with closing(sqlite3.connect(home / name)) as database, database:
            database.execute("INSERT INTO alembic_version VALUES (?)", (OLDER,))


@pytest.mark.long
def test_a_home_with_two_versions_says_what_mends_it_and_is_mended(tmp_path: Path) -> None:
    assert run(tmp_path, "publish")[0] == 0
    break_versions(tmp_path / "home" / "dagster")
    for command in ("publish", "refresh"):
        code, said = run(tmp_path, command, SMA_CLIENT_ID="someone", SMA_CLIENT_SECRET="hush-hush")
        assert code == 1
        assert len(said.splitlines()) == 1
        assert "two processes created them at the same time: run 'sunledger repair'" in said
    assert "run 'sunledger repair', which loses nothing" in run(tmp_path, "doctor")[1]
    # A backup carries the fault along, and the restore repairs it.
    assert run(tmp_path, "backup", str(tmp_path / "all.tar"))[0] == 0
    other = tmp_path / "other"
    other.mkdir()
    code, said = run(other, "restore", str(tmp_path / "all.tar"))
    assert code == 0, said
    code, said = run(tmp_path, "repair", "--dry-run")
    assert code == 0, said
    assert said.count("'sunledger repair' corrects its version; nothing is lost.") == 3
    code, said = run(tmp_path, "repair")
    assert code == 0, said
    assert said.count("Its version was corrected; nothing is lost") == 3
    assert "Nothing is damaged, so nothing was repaired." in run(tmp_path, "repair")[1]
    assert run(tmp_path, "publish")[0] == 0
    assert versions(tmp_path) == [1, 1, 1]


def test_a_damaged_database_is_put_aside_and_what_is_lost_is_said(settings: Settings) -> None:
    with open_dagster(settings) as instance:
        assert instance.get_runs_count() == 0
    home = prepare_dagster_home(settings)
    (home / "history" / "runs.db").write_bytes(b"no database at all " * 300)
    damaged = r"are damaged \(file is not a database\): run 'sunledger repair'"
    with pytest.raises(DagsterHomeError, match=damaged), open_dagster(settings):
        pass
    (foretold,) = look_at_records(settings)
    assert "is damaged (file is not a database): 'sunledger repair' moves it aside." in foretold
    (sentence,) = mend_records(settings)
    assert "What is lost with it: the list of runs." in sentence
    assert list(look_at_records(settings)) == []
    with open_dagster(settings) as instance:
        assert instance.get_runs_count() == 0
    assert len(list(home.glob("damaged-*/runs.db"))) == 1
    assert list(mend_records(settings)) == []


def test_an_emptied_database_is_not_replaced_in_silence_and_a_folder_is_put_aside(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """SQLite takes an empty file for a new database."""
    home = prepare_dagster_home(settings)
    for name in DATABASES:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).touch()
    with open_dagster(settings):
        # So a first start that was killed leaves them.
        assert capsys.readouterr().err == ""
    (home / "retention.day").touch()
    (home / "history" / "runs.db").write_bytes(b"")
    with open_dagster(settings) as instance:
        assert instance.get_runs_count() == 0
    assert "runs.db is empty (the list of runs)" in capsys.readouterr().err
    (home / "history" / "runs.db").write_bytes(b"")
    (home / "schedules" / "schedules.db").unlink()
    (home / "schedules" / "schedules.db").mkdir()
    said = " ".join(mend_records(settings))
    assert ("is damaged (it is empty)" in said, "is damaged (it is a folder)" in said) == (True, True)
    assert (len(list(home.glob("damaged-*/*.db"))), capsys.readouterr().err) == (2, "")


@pytest.mark.parametrize(
    "text",
    [
        "storage: [",
        "no mapping",
        "telemetry: {enabled: perhaps}",
        "unknown: 1",
        "storage: {custom: {module: not.there, class: X}}",
        "storage: {postgres: {postgres_db: {hostname: {env: NOT_SET_ANYWHERE}}}}",
        "concurrency: {pools: {granularity: never}}",
    ],
)
def test_a_bad_configuration_is_told_in_one_sentence(settings: Settings, text: str) -> None:
    file = prepare_dagster_home(settings) / "dagster.yaml"
    file.write_text(text)
    unusable = r"dagster\.yaml can't be used \(.+\): correct it, or move it away"
    with pytest.raises(DagsterHomeError, match=unusable), open_dagster(settings):
        pass


def test_a_run_whose_turn_comes_while_the_code_is_started_again_waits(settings: Settings) -> None:
    with open_dagster(settings) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue
        # A code server takes some seconds to start, and on a busy machine a minute.
        assert queue.max_user_code_failure_retries * queue.user_code_failure_retry_delay >= 60
        assert queue.max_concurrent_runs == 4


def test_a_home_with_signs_of_patterns_in_its_path_keeps_its_configuration(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    odd = settings.model_copy(update={"home": tmp_path / "a [b]*?%41#c" / "home"})
    for _ in range(2):
        with open_dagster(odd) as instance:
            assert instance.get_settings("telemetry") == {"enabled": False}
            pools = {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}
            assert pools == {"sma_api": 3, "publish": 1}
            assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 4  # type: ignore[union-attr]
    assert (odd.home / "dagster" / "history" / "runs.db").is_file()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("a ")] == ["a [b]*?%41#c"]
