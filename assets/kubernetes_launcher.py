"""Runs as Kubernetes Jobs by Dagster's own launcher, beside runs that commands do in their own process."""

from dagster import DagsterRun
from dagster_k8s.launcher import DOCKER_IMAGE_TAG, CheckRunHealthResult, K8sRunLauncher, WorkerStatus


class PatientKubernetesLauncher(K8sRunLauncher):
    """Dagster's launcher, which leaves runs alone that have no Job."""

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the run's Job goes on. An API server that can't be asked does not end a run."""
        if DOCKER_IMAGE_TAG not in run.tags:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        found = super().check_run_worker_health(run)
        lost = found.status == WorkerStatus.UNKNOWN and "could not be found" not in (found.msg or "")
        return CheckRunHealthResult(WorkerStatus.RUNNING) if lost else found
