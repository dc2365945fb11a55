"""What lies in deploy/ for several machines, as data, and the Job that Dagster's launcher makes of it."""

from pathlib import Path
from typing import Any

import yaml

from assets.home_setup.cluster_home import build_cluster_configuration
from pipeline.common.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "kubernetes" / "base"
EXAMPLE = DEPLOY / "kubernetes" / "overlays" / "example"


def read_environment(file: Path) -> dict[str, str]:
    """The variables of a file of settings; those without a value are empty."""
    lines = file.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def read_manifests(text: str) -> list[dict[str, Any]]:
    """The documents of a text of YAML."""
    return [document for document in yaml.safe_load_all(text) if document]


def load_cluster_settings(kind: str) -> Settings:
    """Settings of a cluster, with the number of runs and the namespace of the manifests."""
    given = read_environment(BASE / "sunledger.env")
    return load_settings(
        env_file=None,
        cluster=kind,
        cluster_runs=int(given["SUNLEDGER_CLUSTER_RUNS"]),
        cluster_namespace=given["SUNLEDGER_CLUSTER_NAMESPACE"],
        cluster_image=given["SUNLEDGER_CLUSTER_IMAGE"],
        cluster_postgres_url="postgresql://a:b@postgres/c",
        cluster_broker_url="redis://redis/1",
        budget_url="redis://redis/0",
        cluster_key="k" * 32,
        lake="s3://bucket/lake",
    )


def build_job(folder: Path) -> dict[str, Any]:
    """The Job of a run as Dagster's launcher makes it of our dagster.yaml; variables that it names must be set."""
    import kubernetes  # noqa: PLC0415 - an extra
    from dagster import DagsterInstance, DagsterRun  # noqa: PLC0415
    from dagster_k8s.job import construct_dagster_k8s_job  # noqa: PLC0415

    from assets.kubernetes_launcher import PatientKubernetesLauncher  # noqa: PLC0415 - loads all of Kubernetes' client

    kubeconfig = folder / "kubeconfig"
    context = {"name": "here", "context": {"cluster": "here", "user": "me"}}
    content = {
        "clusters": [{"name": "here", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [context],
        "current-context": "here",
    }
    kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **content}))
    launcher = build_cluster_configuration(load_cluster_settings("kubernetes"))["run_launcher"]
    outside = {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
    settled = {**launcher, "config": {**launcher["config"], **outside}}
    (folder / "dagster.yaml").write_text(
        yaml.safe_dump({"run_launcher": settled, "telemetry": {"enabled": False}})
    )
    with DagsterInstance.from_config(str(folder)) as instance:
        loaded = instance.run_launcher
    assert isinstance(loaded, PatientKubernetesLauncher)
    found = loaded.get_container_context_for_run(DagsterRun(job_name="energy_days", run_id="f" * 8))
    job = construct_dagster_k8s_job(
        found.get_k8s_job_config(job_image=None, run_launcher=loaded),
        args=["dagster", "api", "execute_run", "{}"],
        job_name="dagster-run-f",
        component="run_worker",
        user_defined_k8s_config=found.run_k8s_config,
    )
    plain: dict[str, Any] = kubernetes.client.ApiClient().sanitize_for_serialization(job)
    return {**plain, "metadata": {**plain["metadata"], "namespace": found.namespace}}
