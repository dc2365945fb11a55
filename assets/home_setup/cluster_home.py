"""Dagster's configuration on several machines: records in PostgreSQL, runs as Kubernetes Jobs or on Celery workers."""

from pathlib import Path
from typing import Any

import yaml

from assets.home_setup.home_configuration import CONFIGURATION
from pipeline.common.errors import ConfigurationError
from pipeline.common.files.atomic_files import write_file
from pipeline.common.settings import Settings

FILE, FORMER_FILE = "dagster.yaml", "dagster.yaml.one-machine"
# Names of what a cluster has of ours, in Kubernetes: a service account, a secret and two config maps.
KUBERNETES_NAME = "sunledger"
KUBERNETES_CONFIGURATION = "sunledger-dagster"
# Where the container image has SUNLEDGER_HOME, and the user that owns it (deploy/Containerfile).
CONTAINER_HOME, CONTAINER_USER = "/var/lib/sunledger", 10001
QUEUE = "dagster"
HEADING = """\
# 'sunledger cluster init' has written this file. You may change it, but not where records are kept and how runs begin.
"""
# Variables that the file names instead of values: what stands in it also stands in the manifest of each Job.
POSTGRES, BROKER = "SUNLEDGER_CLUSTER_POSTGRES_URL", "SUNLEDGER_CLUSTER_BROKER_URL"
# These are no secrets: so a new image needs no new file.
NAMESPACE, IMAGE = "SUNLEDGER_CLUSTER_NAMESPACE", "SUNLEDGER_CLUSTER_IMAGE"
# A run of 1,000 plants and seven days peaks at 700 MB (docs/performance.md).
JOB_MEMORY = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
# Folders of a Job that it writes, by the name of their volume. The third holds a file that Dagster mounts.
JOB_FOLDERS = {"home": CONTAINER_HOME, "temporary": "/tmp", "dagster-home": f"{CONTAINER_HOME}/dagster"}  # noqa: S108
LAUNCHERS = {
    "celery": ("assets.celery_launcher", "WatchedCeleryLauncher"),
    "kubernetes": ("assets.kubernetes_launcher", "PatientKubernetesLauncher"),
}


def build_cluster_configuration(settings: Settings) -> dict[str, Any]:
    """The content of dagster.yaml for the cluster of the settings. The rest is as on one machine."""
    module, name = LAUNCHERS[settings.cluster]
    launcher: dict[str, Any] = {"module": module, "class": name}
    if settings.cluster == "celery":
        launcher["config"] = {
            "broker": {"env": BROKER},
            "backend": {"env": BROKER},
            "default_queue": QUEUE,
        }
    else:
        launcher["config"] = {
            "service_account_name": KUBERNETES_NAME,
            "job_namespace": {"env": NAMESPACE},
            "job_image": {"env": IMAGE},
            "image_pull_policy": "IfNotPresent",
            "instance_config_map": KUBERNETES_CONFIGURATION,
            "dagster_home": f"{CONTAINER_HOME}/dagster",
            "env_config_maps": [KUBERNETES_NAME],
            "env_secrets": [KUBERNETES_NAME],
            "run_k8s_config": _build_pod(),
        }
    runs = settings.cluster_runs
    content: dict[str, Any] = yaml.safe_load(CONFIGURATION)
    content["concurrency"]["runs"] = {
        "max_concurrent_runs": runs,
        "tag_concurrency_limits": [{"key": "dagster/backfill", "limit": max(1, runs - 1)}],
    }
    content["run_monitoring"]["poll_interval_seconds"] = 10
    storage = {"postgres": {"postgres_url": {"env": POSTGRES}}}
    if settings.cluster == "kubernetes":
        # Dagster's chart writes this section itself.
        del content["run_coordinator"]
        # A Job's disk goes with it; what it prints is collected by Kubernetes.
        content["compute_logs"] = {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        }
    return {**content, "storage": storage, "run_launcher": launcher}


def _build_pod() -> dict[str, Any]:
    """What a Job's pod may and gets: no more rights than a namespace of the level `restricted` allows."""
    return {
        "pod_spec_config": {
            "security_context": {
                "run_as_non_root": True,
                "run_as_user": CONTAINER_USER,
                "run_as_group": CONTAINER_USER,
                "fs_group": CONTAINER_USER,
                "seccomp_profile": {"type": "RuntimeDefault"},
            },
            "volumes": [{"name": name, "empty_dir": {}} for name in JOB_FOLDERS],
        },
        "container_config": {
            "resources": JOB_MEMORY,
            "security_context": {
                "allow_privilege_escalation": False,
                "read_only_root_filesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volume_mounts": [{"name": name, "mount_path": path} for name, path in JOB_FOLDERS.items()],
        },
    }


def format_cluster_configuration(settings: Settings) -> str:
    """The text of dagster.yaml for the cluster of the settings."""
    content: str = yaml.safe_dump(build_cluster_configuration(settings), sort_keys=False)
    return HEADING + content


def check_cluster_configuration(dagster_home: Path, settings: Settings) -> None:
    """Raise ConfigurationError where dagster.yaml keeps records on one machine, or begins runs in another way."""
    if complaint := _find_complaint(dagster_home / FILE, settings):
        raise ConfigurationError(
            f"{dagster_home / FILE} {complaint}, but SUNLEDGER_CLUSTER={settings.cluster}: run 'sunledger cluster "
            "init', which writes the right one and keeps this one beside it."
        )


def write_cluster_configuration(dagster_home: Path, settings: Settings) -> bool:
    """Write dagster.yaml unless it is right; whether it was written. One of another kind is kept beside it."""
    file = dagster_home / FILE
    if file.exists() and not _find_complaint(file, settings):
        return False
    if file.exists():
        file.replace(dagster_home / FORMER_FILE)
    write_file(file, format_cluster_configuration(settings).encode())
    return True


def _find_complaint(file: Path, settings: Settings) -> str:
    """What is wrong in the file, as the rest of a sentence; empty for nothing."""
    try:
        found = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return "can't be read"
    if not isinstance(found, dict) or "postgres" not in (found.get("storage") or {}):
        return "keeps Dagster's records in files of this machine"
    module, name = LAUNCHERS[settings.cluster]
    launcher = found.get("run_launcher") or {}
    if (launcher.get("module"), launcher.get("class")) != (module, name):
        return "begins runs in another way"
    return ""
