"""`sunledger ui`: Dagster's page and daemon on this machine."""

import os
import socket
from contextlib import ExitStack
from typing import Annotated, Literal

import typer

from pipeline.cli.console import say
from pipeline.common.errors import UsageError
from pipeline.common.signals import SIGNALS


def run_ui(
    host: Annotated[
        str,
        typer.Option(
            help="Address to bind. The page has no login, so bind other addresses than loopback only behind a proxy."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page.")] = 3000,
    part: Annotated[
        Literal["all", "web", "daemon"],
        typer.Option(help="Part to start. Run web and daemon as two services, or all together."),
    ] = "all",
) -> None:
    """Start the control room: Dagster's page and daemon on this machine."""
    from assets.control_room import Service, run_services
    from assets.dagster_records.start_lock import hold_daemon_lock
    from assets.home_setup.dagster_home import (
        build_code_command,
        build_daemon_command,
        build_environment,
        build_webserver_command,
        open_code_place,
        prepare,
    )
    from pipeline.common.settings import load_settings

    settings = load_settings()
    if part != "daemon":
        _check_port(host, port)
    prepare(settings)
    with ExitStack() as held:
        if part != "web":
            held.enter_context(hold_daemon_lock(settings.home / "dagster"))
        if part != "daemon":
            say(f"Dagster starts at http://{host}:{port}. Press Ctrl-C to stop it.")
        place, named = held.enter_context(open_code_place())
        services = [Service("Dagster's code server", build_code_command(place), place)]
        if part != "daemon":
            services.append(
                Service("Dagster's webserver", build_webserver_command(host, port, settings.ui_hosts))
            )
        if part != "web":
            services.append(Service("Dagster's daemon", build_daemon_command()))
        SIGNALS.hand_over()
        if not run_services(services, {**os.environ, **build_environment(settings), **named}, say):
            raise typer.Exit(1)


def _check_port(host: str, port: int) -> None:
    """Raise UsageError if nothing can listen there, before Dagster starts and would fail with a traceback."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do, because a connection that has just been closed does not block the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as fault:
        raise UsageError(
            f"Dagster can't listen at {host}:{port} ({fault.strerror or fault}): choose another --port or --host."
        ) from None
