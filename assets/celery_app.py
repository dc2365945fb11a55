"""The Celery application of the workers: `python -m celery --app assets.celery_app worker` (`sunledger worker`)."""

from dagster_celery.config import DEFAULT_CONFIG
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

from assets.home_setup.cluster_home import QUEUE
from pipeline.common.settings import load_settings

_URL = load_settings().cluster_broker_url.get_secret_value()

app = make_app(
    {
        "broker": _URL,
        "backend": _URL,
        "config_source": {
            **DEFAULT_CONFIG,
            "task_default_queue": QUEUE,
            # A run's memory goes with its process.
            "worker_max_tasks_per_child": 1,
            "worker_hijack_root_logger": False,
            "broker_connection_retry_on_startup": True,
        },
    }
)
execute_job = create_execute_job_task(app)
resume_job = create_resume_job_task(app)
