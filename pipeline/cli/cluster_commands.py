"""`sunledger cluster` and `sunledger worker`: set up what several machines share, and do runs on this one."""

import os
from typing import Annotated

import typer

app = typer.Typer(help="Set up what the machines of a cluster share (SUNLEDGER_CLUSTER).")


@app.callback()
def _group() -> None:
    # Without it a group of one command would be the command.
    pass


@app.command("init")
def run_init() -> None:
    """Set up PostgreSQL, pools and dagster.yaml for the cluster of the settings. It can be repeated at any time."""
    from assets.home_setup.dagster_home import prepare_cluster
    from pipeline.cli.console import say_all
    from pipeline.common.settings import load_settings

    say_all(prepare_cluster(load_settings()))


def run_worker(
    slots: Annotated[int, typer.Option(min=1, max=64, help="Runs that this worker does at a time.")] = 1,
) -> None:
    """Execute Dagster's runs on this machine, as a worker of a Celery cluster, until it is stopped."""
    from assets.control_room import Service, run_services
    from assets.home_setup.dagster_home import build_environment, build_worker_command, prepare
    from pipeline.cli.console import say
    from pipeline.common.errors import UsageError
    from pipeline.common.settings import load_settings
    from pipeline.common.signals import SIGNALS

    settings = load_settings()
    if settings.cluster != "celery":
        raise UsageError(
            f"SUNLEDGER_CLUSTER={settings.cluster} has no workers: set it to celery, or see docs/cluster.md."
        )
    prepare(settings)
    say(f"This worker does {slots} of the cluster's runs at a time. Press Ctrl-C to stop it.")
    SIGNALS.hand_over()
    worker = Service("The Celery worker", build_worker_command(slots))
    if not run_services([worker], {**os.environ, **build_environment(settings)}, say):
        raise typer.Exit(1)
