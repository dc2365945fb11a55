"""Runs on Celery workers, with the check of a worker's life that Dagster's own launcher lacks.

Celery keeps a task of a killed worker as begun. So the workers are asked for the tasks that they do: a run that none of
them names twice in a row has lost its worker, and Dagster tries it again. Where the broker does not
answer, nothing is known, and nothing is ended.
"""

from typing import Any

from celery.exceptions import CeleryError
from dagster import DagsterRun
from dagster_celery.launcher import CeleryRunLauncher, CheckRunHealthResult, WorkerStatus
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

# Workers answer at once, unless their machine is overloaded.
ANSWER_WITHIN_S = 3.0
# One look in which a worker is not heard may be a lost message.
MISSES = 2
# States of a task whose end Celery itself has seen, and of one that waits for a worker.
ENDED, WAITING = {"SUCCESS", "FAILURE", "REVOKED"}, "PENDING"
BROKER_FAULTS = (CeleryError, KombuError, RedisError, OSError)


class WatchedCeleryLauncher(CeleryRunLauncher):
    """Dagster's launcher, which asks the workers whether they still do a run."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._missed: dict[str, int] = {}

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether a worker does the run; runs that a command does in its own process count as well."""
        task = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        if task is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        try:
            state = self.celery.AsyncResult(task).state
            known = state in ENDED or state == WAITING or task in self._list_tasks()
        except BROKER_FAULTS:
            known, state = True, WAITING
        if known:
            self._missed.pop(task, None)
        else:
            self._missed[task] = self._missed.get(task, 0) + 1
        if state in ENDED - {"SUCCESS"}:
            return CheckRunHealthResult(WorkerStatus.FAILED, f"Celery reports the task as {state.lower()}.")
        if self._missed.get(task, 0) >= MISSES:
            return CheckRunHealthResult(
                WorkerStatus.FAILED,
                f"No Celery worker has named this run in {MISSES} looks: its worker has died.",
            )
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def get_run_worker_debug_info(
        self,
        run: DagsterRun,
        include_container_logs: bool | None = True,  # noqa: ARG002 - as the original
    ) -> str | None:
        """The run's task in Celery, if it has one."""
        task = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        return None if task is None else f"Celery task {task}"

    def terminate(self, run_id: str) -> bool:
        """End the run's task; False where no worker was asked to do the run."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return False
        self._instance.report_run_canceling(run)
        return bool(super().terminate(run_id))

    def _list_tasks(self) -> set[str]:
        """The tasks that workers do, or have taken."""
        inspect = self.celery.control.inspect(timeout=ANSWER_WITHIN_S)
        answers = [inspect.active() or {}, inspect.reserved() or {}]
        return {task["id"] for answer in answers for tasks in answer.values() for task in tasks}
