"""`sunledger ui`: Dagster's page and daemon on this machine."""

import os
import socket
from enum import StrEnum
from typing import Annotated

import typer

from pipeline.cli.console import say
from pipeline.common.errors import UsageError
from pipeline.common.signals import SIGNALS


class UiPart(StrEnum):
    """What of Dagster is started."""

    ALL = "all"
    WEB = "web"
    DAEMON = "daemon"


def ui(
    host: Annotated[
        str, typer.Option(help="Address to bind; anything but loopback has no login.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
    part: Annotated[
        UiPart, typer.Option(help="Which part to start: as services, the page and the daemon are two.")
    ] = UiPart.ALL,
) -> None:
    """Open the control room: Dagster on this machine."""
    from assets.control_room import Service, run_services  # noqa: PLC0415 - commands load what they need
    from assets.dagster_home import build_daemon_command, build_environment, build_webserver_command, prepare  # noqa: PLC0415
    from pipeline.common.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    if part is not UiPart.DAEMON:
        _check_port(host, port)
    prepare(settings)
    if part is not UiPart.DAEMON:
        say(f"Dagster starts at http://{host}:{port} - stop it with Ctrl-C.")
    services = []
    if part is not UiPart.DAEMON:
        services.append(
            Service("Dagster's webserver", build_webserver_command(host, port, settings.ui_hosts))
        )
    if part is not UiPart.WEB:
        services.append(Service("Dagster's daemon", build_daemon_command()))
    SIGNALS.hand_over()
    if not run_services(services, {**os.environ, **build_environment(settings)}, say):
        raise typer.Exit(1)


def _check_port(host: str, port: int) -> None:
    """Raise UsageError where nothing can listen: told before Dagster has started, and in one sentence."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a connection that was closed a moment ago holds nobody back.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as fault:
        raise UsageError(
            f"Nothing can listen at {host}:{port} ({fault.strerror or fault}): choose another --port or --host."
        ) from None
