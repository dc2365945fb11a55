"""What lies in deploy/ for several machines fits the program: its settings, commands, names, and Dagster's launcher."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement

from assets.home_setup.cluster_home import (
    CONTAINER_HOME,
    CONTAINER_USER,
    build_cluster_configuration,
    format_cluster_configuration,
)
from pipeline.cli.commands import app
from pipeline.common.settings import Settings, name_variable
from tests.deploy.manifests import (
    BASE,
    DEPLOY,
    EXAMPLE,
    ROOT,
    build_job,
    load_cluster_settings,
    read_environment,
    read_manifests,
)

COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
VALUES = yaml.safe_load((DEPLOY / "helm-values.yaml").read_text())


@pytest.fixture(autouse=True)
def extra() -> None:
    pytest.importorskip("dagster_k8s", reason="The extra 'cluster' is not installed.")


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The Job of a run, with the settings of the base."""
    for name, value in read_environment(BASE / "sunledger.env").items():
        monkeypatch.setenv(name, value)
    return build_job(tmp_path)


def list_pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(BASE.glob("*.yaml")):
        for manifest in read_manifests(file.read_text()):
            if "template" in manifest.get("spec", {}):
                yield manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]


def list_commands() -> Iterator[list[str]]:
    for _, pod in list_pods():
        yield pod["containers"][0]["args"]
    for service in COMPOSE["services"].values():
        if "command" in service and service["command"][0] != "redis-server":
            yield service["command"]
    (command,) = re.findall(r"^CMD (\[.+\])$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    yield yaml.safe_load(command)


@pytest.mark.long
def test_every_setting_that_is_named_exists() -> None:
    known = {name_variable(field) for field in Settings.model_fields}
    for file in DEPLOY.rglob("*"):
        named = (
            set(re.findall(r"\b(?:SMA|SUNLEDGER)_[A-Z0-9_]+\b", file.read_text()))
            if file.is_file()
            else set()
        )
        assert named <= known, file


@pytest.mark.parametrize("words", list(list_commands()), ids=" ".join)
def test_every_command_exists_with_its_options(words: list[str]) -> None:
    assert words[0] == "sunledger"
    command, rest, name = typer.main.get_command(app), words[1:], "sunledger"
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(
            command.make_context(name, [], resilient_parsing=True), rest
        )
        assert command is not None
    # Raises for an option or a value that it does not know.
    command.make_context(name, list(rest))


def test_the_file_of_dagster_is_what_cluster_init_would_write() -> None:
    assert (BASE / "dagster.yaml").read_text() == format_cluster_configuration(
        load_cluster_settings("kubernetes")
    )


@pytest.mark.long
def test_names_are_those_that_the_launcher_gives_to_jobs(job: dict[str, Any]) -> None:
    kustomization = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    maps = {one["name"] for one in kustomization["configMapGenerator"]}
    secrets = yaml.safe_load((EXAMPLE / "kustomization.yaml").read_text())["secretGenerator"]
    assert job["metadata"]["namespace"] == kustomization["namespace"]
    assert container["image"] == read_environment(BASE / "sunledger.env")["SUNLEDGER_CLUSTER_IMAGE"]
    assert container["envFrom"] == [
        {"configMapRef": {"name": "sunledger"}},
        {"secretRef": {"name": "sunledger"}},
    ]
    mounted = {
        one["configMap"]["name"] for _, pod in list_pods() for one in pod["volumes"] if "configMap" in one
    }
    launcher = build_cluster_configuration(load_cluster_settings("kubernetes"))["run_launcher"]
    # A Job needs no file: its arguments hold what the daemon's says.
    assert mounted == {launcher["config"]["instance_config_map"]}
    assert maps == {"sunledger"} | mounted
    assert [one["name"] for one in secrets] == ["sunledger"]
    accounts = [
        one for one in read_manifests((BASE / "access.yaml").read_text()) if one["kind"] == "ServiceAccount"
    ]
    assert [one["metadata"]["name"] for one in accounts] == [pod["serviceAccountName"]]
    # Without a suffix of its content: Dagster's launcher knows the plain name.
    assert kustomization["generatorOptions"] == {"disableNameSuffixHash": True}


def test_pods_of_the_base_are_bound_as_jobs_are(job: dict[str, Any]) -> None:
    run = job["spec"]["template"]["spec"]
    (runs,) = run["containers"]
    folders = {one["mountPath"] for one in runs["volumeMounts"]}
    pods = dict(list_pods())
    assert set(pods) == {"sunledger-web", "sunledger-daemon", "sunledger-init"}
    for name, pod in pods.items():
        (container,) = pod["containers"]
        assert pod["securityContext"] == run["securityContext"], name
        assert container["securityContext"] == runs["securityContext"], name
        assert container["envFrom"] == runs["envFrom"], name
        mounted = {one["mountPath"] for one in container["volumeMounts"]}
        assert mounted == folders | {f"{CONTAINER_HOME}/dagster/dagster.yaml"}, name
        assert {"requests", "limits"} <= set(container["resources"]), name
    text = (DEPLOY / "Containerfile").read_text()
    assert f"USER {CONTAINER_USER}\n" in text
    assert run["securityContext"]["runAsUser"] == CONTAINER_USER


def test_the_workers_of_compose_have_a_slot_for_each_run() -> None:
    worker = COMPOSE["services"]["worker"]
    slots = int(worker["command"][worker["command"].index("--slots") + 1]) * worker["deploy"]["replicas"]
    assert int(worker["environment"]["SUNLEDGER_CLUSTER_RUNS"]) <= slots
    assert (
        ROOT / "deploy" / COMPOSE["services"]["web"]["build"]["context"] / "deploy/Containerfile"
    ).exists()


def test_the_chart_gets_the_same_dagster_yaml() -> None:
    ours = build_cluster_configuration(load_cluster_settings("kubernetes"))
    launcher = VALUES["runLauncher"]["config"]["customRunLauncher"]
    # The chart has a file and a password of PostgreSQL of its own.
    assert launcher["config"].pop("instance_config_map") == "sunledger-dagster-instance"
    assert launcher["config"].pop("postgres_password_secret") == VALUES["global"]["postgresqlSecretName"]
    expected = ours["run_launcher"]
    expected["config"].pop("instance_config_map")
    assert launcher == expected
    # What the chart writes elsewhere in the file is switched off there.
    assert VALUES["dagsterDaemon"]["runCoordinator"] == {"enabled": False}
    assert VALUES["dagsterDaemon"]["runMonitoring"] == {"enabled": False}
    assert VALUES["dagsterDaemon"]["runRetries"] == {"enabled": False}
    same = {name: ours[name] for name in ("nux", "concurrency", "run_monitoring", "run_retries", "retention")}
    assert VALUES["additionalInstanceConfig"] == same
    assert VALUES["global"]["dagsterHome"] == expected["config"]["dagster_home"]
    (code,) = VALUES["dagster-user-deployments"]["deployments"]
    assert code["name"] == "sunledger"
    assert f"--version {version_of('dagster')} " in (DEPLOY / "helm-values.yaml").read_text()


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("requirements.lock.txt", ()), ("requirements-cluster.lock.txt", ("cluster", "postgresql"))],
)
def test_the_container_gets_all_that_the_program_imports(lock: str, extras: tuple[str, ...]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra_name in extras:
        wanted += project["optional-dependencies"][extra_name]
    pinned = dict(
        re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==([^ ]+)", (ROOT / lock).read_text(), re.MULTILINE)
    )
    for one in map(Requirement, wanted):
        assert one.specifier.contains(pinned[one.name.lower()]), one


def version_of(package: str) -> str:
    pinned = re.findall(
        rf"^{package}==([^ ]+)", (ROOT / "requirements-cluster.lock.txt").read_text(), re.MULTILINE
    )
    return str(pinned[0])
