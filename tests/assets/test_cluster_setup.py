"""The set-up of a cluster: what several machines can't share is refused, and several may begin at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from assets.home_setup.cluster_home import FORMER_FILE, build_cluster_configuration
from assets.home_setup.dagster_home import prepare_cluster, prepare_dagster_home
from assets.home_setup.home_configuration import CONFIGURATION
from pipeline.common.cluster_rules import check_cluster
from pipeline.common.errors import ConfigurationError
from pipeline.common.settings import Settings, load_settings
from tests.assets.postgres_server import needs_postgres, postgres
from tests.programs import PATIENCE_S, run, start

ROOT = Path(__file__).parents[2]
MODULES = ("celery", "dagster_celery", "dagster_k8s", "dagster_postgres", "redis")
CLUSTER = {
    "cluster": "celery",
    "cluster_postgres_url": "postgresql://me:hush@127.0.0.1:9/db",
    "cluster_broker_url": "redis://127.0.0.1:9/1",
    "cluster_key": "k" * 32,
    "budget_url": "redis://127.0.0.1:9/0",
    "lake": "s3://bucket/lake",
}


@pytest.fixture(autouse=True)
def extra() -> None:
    for module in MODULES:
        pytest.importorskip(module, reason="The extra 'cluster' is not installed.")


def make(folder: Path, **changes: str) -> Settings:
    return load_settings(env_file=None, home=folder / "home", **{**CLUSTER, **changes})


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """The settings of a cluster on a fresh PostgreSQL."""
    with postgres() as server:
        url = "postgresql://{DAGSTER_PG_USER}:{DAGSTER_PG_PASSWORD}@{DAGSTER_PG_HOST}:{DAGSTER_PG_PORT}/{DAGSTER_PG_DB}"
        settings = {**CLUSTER, "cluster_postgres_url": url.format(**server)}
        yield {f"SUNLEDGER_{name.upper()}": value for name, value in settings.items()}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"cluster_postgres_url": ""},
            "SQLite files, which other machines can't open. Set SUNLEDGER_CLUSTER_POSTGRES_URL",
        ),
        ({"budget_url": ""}, "the request budget would be a file of each machine"),
        ({"lake": "/srv/lake"}, "the lake /srv/lake is a folder of this machine. Set SUNLEDGER_LAKE"),
        (
            {"cluster_key": "", "sma_flow": "code"},
            "the login of the code flow would be stored on the disk of one machine",
        ),
        ({"cluster_key": ""}, "the consents of owners would be stored on the disk of one machine"),
        (
            {"lake": "az://container/lake"},
            "the published file would be an object in az://container/lake, and only S3",
        ),
        ({"cluster_broker_url": ""}, "workers would get no runs. Set SUNLEDGER_CLUSTER_BROKER_URL"),
        ({"cluster": "kubernetes"}, "Kubernetes would not know what to run. Set SUNLEDGER_CLUSTER_IMAGE"),
    ],
)
def test_what_several_machines_cant_share_is_refused(
    tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    settings = make(tmp_path, **changes)
    for refuse in (check_cluster, prepare_dagster_home, prepare_cluster):
        with pytest.raises(ConfigurationError, match=said):
            refuse(settings)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cluster_postgres_url": "mysql://me:hush@host/db"}, "is not an address of PostgreSQL; write it as"),
        ({"cluster_key": "hush"}, "is too short; it needs at least 32 characters"),
        ({"cluster_broker_url": "amqp://me:hush@host"}, "is not an address of Redis"),
    ],
)
def test_wrong_values_are_refused_without_the_secret(
    tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        make(tmp_path, **changes)
    assert "hush" not in str(caught.value)


def test_a_file_of_one_machine_is_refused_in_a_cluster(tmp_path: Path) -> None:
    home = prepare_dagster_home(load_settings(env_file=None, home=tmp_path / "home"))
    with pytest.raises(
        ConfigurationError, match=r"keeps Dagster's records in files of this machine.*cluster init"
    ):
        prepare_dagster_home(make(tmp_path))
    (home / "dagster.yaml").write_text("storage: {postgres: {postgres_url: {env: X}}}")
    with pytest.raises(ConfigurationError, match="begins runs in another way"):
        prepare_dagster_home(make(tmp_path))


@pytest.mark.parametrize("kind", ["celery", "kubernetes"])
def test_dagster_accepts_the_configuration_and_no_secret_stands_in_it(tmp_path: Path, kind: str) -> None:
    settings = make(tmp_path, cluster=kind, cluster_image="registry.example.org/sunledger:1")
    home = prepare_dagster_home(settings)
    text = (home / "dagster.yaml").read_text()
    assert yaml.safe_load(text) == build_cluster_configuration(settings)
    assert "hush" not in text
    assert "kkk" not in text


def test_the_code_location_has_one_name_everywhere() -> None:
    for file, kind in (("workspace.yaml", "python_module"), ("assets/workspace.yaml", "grpc_server")):
        (loaded,) = yaml.safe_load((ROOT / file).read_text())["load_from"]
        assert loaded[kind]["location_name"] == "sunledger"
    assert '("--location-name", "sunledger",' in (ROOT / "assets" / "code_server.py").read_text()
    assert 'code_location_name = "sunledger"' in (ROOT / "pyproject.toml").read_text()


def test_without_a_cluster_there_is_nothing_to_set_up_and_no_worker(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SUNLEDGER_CLUSTER=none has nothing to set up"):
        prepare_cluster(load_settings(env_file=None, home=tmp_path / "home"))


@needs_postgres
@pytest.mark.long
def test_four_machines_set_up_a_fresh_postgresql_at_once(tmp_path: Path, environment: dict[str, str]) -> None:
    import psycopg2  # noqa: PLC0415 - an extra

    homes = [tmp_path / str(number) for number in range(4)]
    for home in homes:
        home.mkdir()
    # The first one goes on with a home of one machine.
    (homes[0] / "home" / "dagster").mkdir(parents=True)
    (homes[0] / "home" / "dagster" / "dagster.yaml").write_text(CONFIGURATION)
    (homes[0] / "home" / "credentials").mkdir(mode=0o700)
    for name in ("consents.key", "consents.lock"):
        (homes[0] / "home" / "credentials" / name).write_bytes(b"of one machine")
    several = [start(home, "cluster", "init", **environment) for home in homes]
    said = [process.communicate(timeout=PATIENCE_S)[0] for process in several]
    assert [process.returncode for process in several] == [0, 0, 0, 0], said
    assert all("dagster.yaml was written." in one for one in said), said
    assert (homes[0] / "home" / "dagster" / FORMER_FILE).read_text() == CONFIGURATION
    with (
        psycopg2.connect(environment["SUNLEDGER_CLUSTER_POSTGRES_URL"]) as database,
        database.cursor() as cursor,
    ):
        cursor.execute("SELECT count(*) FROM alembic_version")
        assert cursor.fetchall() == [(1,)]
        cursor.execute('SELECT concurrency_key, "limit" FROM concurrency_limits ORDER BY 1')
        assert cursor.fetchall() == [("publish", 1), ("sma_api", 12)]
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'sunledger_cluster' ORDER BY 1")
        assert cursor.fetchall() == [("claims",), ("documents",), ("requests",)]
        cursor.execute("SELECT name, position('machine'::bytea in content) FROM sunledger_cluster.documents")
        assert cursor.fetchall() == [("credentials/consents.key", 0)]
    assert "1 document of this home (logins, consents, agreed costs) went there too" in said[0]
    code, again = run(homes[1], "cluster", "init", **environment)
    assert code == 0, again
    assert "dagster.yaml is right as it is." in again
    assert "only-on-loopback" not in again + "".join(said)
    # A PostgreSQL that is not there is a sentence.
    code, gone = run(
        homes[1],
        "cluster",
        "init",
        **{**environment, "SUNLEDGER_CLUSTER_POSTGRES_URL": CLUSTER["cluster_postgres_url"]},
    )
    assert code == 1, gone
    assert "PostgreSQL at 127.0.0.1:9/db can't be used, because it can't be reached" in gone
    assert "hush" not in gone
    code, worker = run(homes[1], "worker", **{**environment, "SUNLEDGER_CLUSTER": "none"})
    assert code == 2, worker
    assert "SUNLEDGER_CLUSTER=none has no workers" in worker
