"""Homes whose dagster.yaml names the class that kept the records before: they go on by themselves, with all records."""

import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import yaml

from assets.dagster_records.former_storage import COMMENT, FORMER_COMMENT, name_own_storage
from assets.home_setup.dagster_home import open_dagster, prepare_dagster_home
from assets.home_setup.home_configuration import CONFIGURATION
from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from tests.programs import PATIENCE_S, run, start

# dagster/ of a home that the former version made of two plants and two days, and whose daemon ran two minutes.
FORMER_HOME = Path(__file__).with_name("former_home.tar.xz")
NOBODY = 65534

FORMER = f"""\
telemetry:
  enabled: false
{FORMER_COMMENT}
storage:
  custom:
    module: pipeline.records
    class: Records
    config:
      base_dir: {{env: DAGSTER_HOME}}
concurrency:
  pools: {{granularity: op, default_limit: 1}}
"""
FLOW = """\
storage: {custom: {class: Records, config: {base_dir: {env: 'DAGSTER_HOME'}},
  module: pipeline.records}}
nux: {enabled: false} # b
"""
OTHER_ORDER = """\
# first
storage:
    custom:
        config: {base_dir: {env: DAGSTER_HOME}}
        "module": "pipeline.records"
        class: Records
# last
"""
OURS = {"sqlite": {"base_dir": {"env": "DAGSTER_HOME"}}}


def test_only_that_part_changes() -> None:
    new = name_own_storage(FORMER)
    assert new == (
        f"telemetry:\n  enabled: false\n{COMMENT}\nstorage:\n  sqlite:\n      base_dir: {{env: DAGSTER_HOME}}\n"
        "concurrency:\n  pools: {granularity: op, default_limit: 1}\n"
    )


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (FORMER.replace("\n", "\r\n"), ["\r\nconcurrency:\r\n"]),
        (FORMER.replace("  custom:", "  custom:  # quick\n    # three times"), ["# quick", "# three times"]),
        (FORMER.replace("Records\n", "'Records'  # ours\n\n"), ["# ours"]),
        (FORMER.replace("    config:\n", "    config: # where\n      # here\n"), ["# where", "# here"]),
        (
            "storage: {custom: {module: pipeline.records, class: Records}} # a\nnux: {enabled: false}\n",
            ["# a"],
        ),
        (FLOW, ["# b"]),
        (OTHER_ORDER, ["# first", "# last"]),
        (FORMER.partition("concurrency")[0].rstrip("\n"), []),
    ],
)
def test_what_a_user_wrote_stays(text: str, kept: list[str]) -> None:
    new = name_own_storage(text)
    assert new is not None
    assert yaml.safe_load(new) == {**yaml.safe_load(text), "storage": OURS}
    assert all(part in new for part in kept)


def test_another_folder_stays() -> None:
    for place in ("/srv/records", "'/srv/a: b'", "{env: RECORDS}"):
        new = name_own_storage(FORMER.replace("{env: DAGSTER_HOME}", place))
        assert new is not None
        assert yaml.safe_load(new)["storage"] == {"sqlite": {"base_dir": yaml.safe_load(place)}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        CONFIGURATION,
        FORMER.replace("    module: pipeline.records\n", ""),
        "storage: [",
        "storage: pipeline.records",
        "# module: pipeline.records\n",
        "storage: {custom: {module: somebody.elses, class: Records}}",
        "storage: {postgres: {}}",
        # Only one who knows what it means can change this.
        "x: &a {module: pipeline.records, class: R, config: {base_dir: /a}}\nstorage: {custom: *a}\n",
    ],
)
def test_what_does_not_name_it_or_can_not_be_changed_safely_stays(text: str) -> None:
    assert name_own_storage(text) is None


@dg.asset
def more() -> None:
    pass


def unpack(folder: Path) -> Path:
    """The home of the former version, in this folder."""
    home = folder / "home"
    home.mkdir()
    with tarfile.open(FORMER_HOME) as packed:
        # Python before 3.11.4 has no filters, and later ones warn without one. The file is our own.
        filtered = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        packed.extractall(home, **filtered)  # noqa: S202
    return home / "dagster"


def test_the_records_of_the_former_version_are_all_there(tmp_path: Path, settings: Settings) -> None:
    home = unpack(tmp_path)
    assert "pipeline.records" in (home / "dagster.yaml").read_text()
    with open_dagster(settings.model_copy(update={"home": tmp_path / "home"})) as instance:
        runs = {run.job_name: run for run in instance.get_runs()}
        assert {"backfill"} <= runs.keys()
        assert {run.status for run in runs.values()} == {dg.DagsterRunStatus.SUCCESS}
        assert all(instance.all_logs(run.run_id) for run in instance.get_runs())
        days = instance.get_materialized_partitions(dg.AssetKey("energy_daily"))
        assert days == {"2021-10-17", "2021-10-18"}
        newest = instance.fetch_materializations(dg.AssetKey("energy_daily"), limit=2).records
        assert all(
            record.asset_materialization and "seconds" in record.asset_materialization.metadata
            for record in newest
        )
        known = {state.instigator_name: state for state in instance.all_instigator_state()}
        assert {"lists", "closing", "dead_runs"} <= known.keys()
        sensor = known["dead_runs"]
        assert instance.get_ticks(sensor.instigator_origin_id, sensor.selector_id)
        # And they go on.
        assert dg.materialize([more], instance=instance).success
    assert "pipeline" not in (home / "dagster.yaml").read_text()


@pytest.mark.long
def test_several_commands_start_on_such_a_home_at_once_and_it_is_said_once(tmp_path: Path) -> None:
    home = unpack(tmp_path)
    (home / "dagster.yaml").chmod(0o400)
    several = [start(tmp_path, "publish") for _ in range(3)]
    said = [process.communicate(timeout=PATIENCE_S)[0] for process in several]
    assert [process.returncode for process in several] == [0, 0, 0], said
    told = "named the storage of an older version. It was replaced by Dagster's own storage, which uses the"
    assert sum(told in text for text in said) == 1
    assert stat.S_IMODE((home / "dagster.yaml").stat().st_mode) == 0o400
    assert [path.name for path in home.glob(".dagster.yaml*")] == []
    # What a backup of such a home brings back is repaired too.
    (home / "dagster.yaml").chmod(0o600)
    (home / "dagster.yaml").write_text(FORMER)
    assert run(tmp_path, "backup", str(tmp_path / "all.tar"))[0] == 0
    other = tmp_path / "other"
    other.mkdir()
    code, said_there = run(other, "restore", str(tmp_path / "all.tar"))
    assert code == 0, said_there
    assert "pipeline.records" not in (other / "home" / "dagster" / "dagster.yaml").read_text()


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Without the rights to write into the folder, also where tests run as root, whom no mode keeps out."""
    folder.chmod(0o555)
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)
        folder.chmod(0o755)


def test_a_file_that_can_not_be_written_is_told_with_the_cure(settings: Settings) -> None:
    with tempfile.TemporaryDirectory(prefix="sunledger-") as name:
        place = Path(name)
        place.chmod(0o755)
        home = place / "dagster"
        home.mkdir()
        (home / "start.lock").touch(0o666)
        (home / "start.lock").chmod(0o666)
        (home / "dagster.yaml").write_text(FORMER)
        (home / "dagster.yaml").chmod(0o444)
        with (
            as_nobody(home),
            pytest.raises(
                SunledgerError, match=r"can't be written \(Permission denied\): make it and its folder"
            ),
        ):
            prepare_dagster_home(settings.model_copy(update={"home": place}))
        assert (home / "dagster.yaml").read_text() == FORMER
