"""The command line: `python -m sandbox serve`, mounted by the product's own CLI as `sunledger sandbox serve`."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sandbox.address import SandboxAddress
from sandbox.faults.catalogue import KINDS
from sandbox.options import (
    DEFAULT_CLIENT_ID,
    DEFAULT_CLIENT_SECRET,
    DEFAULT_CODE_CLIENT_ID,
    DEFAULT_CODE_CLIENT_SECRET,
    LOOPBACK,
    OWNER_PASSWORD,
    Basis,
    DayOf,
    Fold,
    OptionError,
    Options,
    Replay,
    RetryAfter,
    TimeRules,
    WeekOf,
)

app = typer.Typer(
    help="Run a look-alike of SMA's services for development, training and tests. It is not SMA."
)

WRONG_USAGE = 2


# The parts of the help.
_Plants, _Recordings, _Times, _Clients, _Misbehaviour, _Starting = (
    partial(typer.Option, rich_help_panel=title)
    for title in (
        "Plants",
        "Recordings of your own",
        "Times in answers",
        "Clients and consent",
        "Limits and faults",
        "How it is started",
    )
)


@app.callback()
def main() -> None:
    """Run a look-alike of SMA's services for development, training and tests. It is not SMA."""


@app.command("serve")
def run_serve(
    host: Annotated[
        str,
        _Starting(
            help="Address to bind. Any address but loopback makes the sandbox reachable from your network."
        ),
    ] = LOOPBACK,
    port: Annotated[
        int, _Starting(min=0, max=65535, help="Port to listen on. 0 takes any free port.")
    ] = 8400,
    allow_host: Annotated[
        list[str] | None,
        _Starting(
            help="Additional host name of this sandbox, such as the name of a proxy. Repeat the option for more names."
        ),
    ] = None,
    ready_json: Annotated[
        bool, _Starting("--ready-json", help="Print one line of JSON when the sandbox listens.")
    ] = False,
    until_stdin_closes: Annotated[
        bool, _Starting("--until-stdin-closes", help="Stop when standard input is closed.")
    ] = False,
    plants: Annotated[int, _Plants(min=0, max=100_000, help="Number of simulated plants.")] = 12,
    seed: Annotated[
        int,
        _Plants(
            min=0,
            max=2**32,
            help="Seed of the simulation. The same seed gives the same plants and the same bytes.",
        ),
    ] = 7,
    hostile_names: Annotated[
        bool, _Plants("--hostile-names", help="Use plant names that break careless clients.")
    ] = False,
    recordings: Annotated[
        bool, _Plants("--recordings", help="Add the two recordings that come with sunledger.")
    ] = False,
    replay: Annotated[
        list[Path] | None,
        _Recordings(help="Recording (Parquet) to serve as a plant. Repeat the option for more recordings."),
    ] = None,
    timezone: Annotated[
        list[str] | None, _Recordings(help="Time zone of the recording, once for each --replay.")
    ] = None,
    rated_kw: Annotated[
        list[float] | None, _Recordings(help="Rated power of the recording in kW, once for each --replay.")
    ] = None,
    name: Annotated[
        list[str] | None, _Recordings(help="Name of the recording's plant, once for each --replay.")
    ] = None,
    plant_id: Annotated[
        list[str] | None, _Recordings(help="Id of the recording's plant, once for each --replay.")
    ] = None,
    latitude: Annotated[
        list[float] | None, _Recordings(help="Latitude of the recording, once for each --replay.")
    ] = None,
    longitude: Annotated[
        list[float] | None, _Recordings(help="Longitude of the recording, once for each --replay.")
    ] = None,
    time_basis: Annotated[
        Basis, _Times(help="Time basis of the times in answers: UTC or the plant's local time.")
    ] = "plant_local",
    fold: Annotated[Fold, _Times(help="Repeated hour of autumn: two rows for each time, or one.")] = "twice",
    day_of: Annotated[
        DayOf, _Times(help="With times in UTC: whether a Day is a UTC day or a local day.")
    ] = "local",
    week_of: Annotated[WeekOf, _Times(help="First day of a Week: the given date, or its Monday.")] = "date",
    client_id: Annotated[str, _Clients(help="Client id of the custom flow.")] = DEFAULT_CLIENT_ID,
    client_secret: Annotated[str, _Clients(help="Secret of that client.")] = DEFAULT_CLIENT_SECRET,
    more_clients: Annotated[
        int,
        _Clients(
            min=0,
            max=99,
            help="Number of further clients of the custom flow, called NAME-2, NAME-3 and so on, with the same "
            "secret. Each has a request budget of its own; owners have consented to one of them each, in turn.",
        ),
    ] = 0,
    code_client_id: Annotated[str, _Clients(help="Client id of the code flow.")] = DEFAULT_CODE_CLIENT_ID,
    code_client_secret: Annotated[str, _Clients(help="Secret of that client.")] = DEFAULT_CODE_CLIENT_SECRET,
    owners_without_consent: Annotated[
        int, _Clients(min=0, help="Number of simulated owners who have not consented, at most all.")
    ] = 0,
    consent_after: Annotated[
        float | None, _Clients(min=0, help="Seconds after which owners accept on their own.")
    ] = None,
    requests_per_5_min: Annotated[
        int | None, _Misbehaviour(min=1, help="Request budget of each client in 5 minutes.")
    ] = None,
    retry_after: Annotated[
        RetryAfter, _Misbehaviour(help="Form of the header Retry-After in answers with status 429.")
    ] = "seconds",
    fault: Annotated[
        list[str] | None,
        _Misbehaviour(
            help="Fault to switch on, as NAME[=SHARE][,setting=value...], for example status_503=0.05. Repeat the "
            "option for more."
        ),
    ] = None,
    list_faults: Annotated[bool, _Misbehaviour("--list-faults", help="List all faults and exit.")] = False,
) -> None:
    """Serve all services on one address until stopped."""
    if list_faults:
        typer.echo("\n".join(f"{kind.name:20}{kind.what}" for kind in KINDS.values()))
        return
    try:
        replays = _pair_replays(
            replay or [],
            {
                "timezone": timezone,
                "rated_kw": rated_kw,
                "name": name,
                "plant_id": plant_id,
                "latitude": latitude,
                "longitude": longitude,
            },
        )
        options = Options(
            host=host,
            allowed_hosts=tuple(allow_host or ()),
            port=port,
            plants=plants,
            seed=seed,
            rules=TimeRules(time_basis, fold, day_of, week_of),
            replays=replays,
            recordings=recordings,
            client_id=client_id,
            client_secret=client_secret,
            more_clients=more_clients,
            code_client_id=code_client_id,
            code_client_secret=code_client_secret,
            owners_without_consent=owners_without_consent,
            consent_after_s=consent_after,
            requests_per_5_min=requests_per_5_min,
            retry_after=retry_after,
            faults=tuple(fault or ()),
            hostile_names=hostile_names,
        )
    except OptionError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG_USAGE) from error
    _run(options, ready_json=ready_json, until_stdin_closes=until_stdin_closes)


def _run(options: Options, *, ready_json: bool, until_stdin_closes: bool) -> None:
    # Loaded here: whoever asks the product's own CLI for something else does not wait for a server.
    from sandbox.server import (  # noqa: PLC0415
        CannotListenError,
        build_address,
        format_ready_line,
        listen,
        serve_app,
        stay_on_one_core,
    )

    stay_on_one_core()  # before all that loads numpy

    from sandbox.app import build_app  # noqa: PLC0415
    from sandbox.faults.fault_plan import FaultError  # noqa: PLC0415
    from sandbox.series.replayed import RecordingError  # noqa: PLC0415
    from sandbox.world import World  # noqa: PLC0415

    try:
        application = build_app(World(options))
        listener = listen(options.host, options.port)
    except (RecordingError, FaultError, CannotListenError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG_USAGE) from error
    address = build_address(options, listener)

    def announce() -> None:
        typer.echo(_build_banner(address, options), err=True)
        if ready_json:
            sys.stdout.write(format_ready_line(address) + "\n")
            sys.stdout.flush()

    serve_app(application, listener, on_ready=announce, until_stdin_closes=until_stdin_closes)


def _pair_replays(paths: list[Path], traits: Mapping[str, Sequence[object] | None]) -> tuple[Replay, ...]:
    """The repeated options, put together in step; a trait given at all must be given for every recording."""
    given = {trait: values for trait, values in traits.items() if values}
    for trait, values in given.items():
        if len(values) != len(paths):
            option = "--" + trait.replace("_", "-")
            raise typer.BadParameter(
                f"{option} is there {len(values)}x and --replay {len(paths)}x: give it once for each --replay."
            )
    return tuple(
        Replay(path, **{trait: values[number] for trait, values in given.items()})  # type: ignore[arg-type]
        for number, path in enumerate(paths)
    )


def _build_banner(address: SandboxAddress, options: Options) -> str:
    lines = [
        (
            "This is the sunledger sandbox. It is NOT SMA: its plants are simulated or replayed, and its tokens are "
            "not valid at SMA."
        ),
        f"  address        {address.url}",
        f"  monitoring     {address.url}/monitoring",
        f"  live           {address.url}/live",
        f"  grid control   {address.url}/gridcontrol",
        f"  custom flow    client {', '.join(options.custom_client_ids)}",
        f"  code flow      client {options.code_client_id}, owners owner1@example.com ..., password {OWNER_PASSWORD}",
        f"  time basis     {options.rules.basis}",
    ]
    if options.host != LOOPBACK:
        lines.append(
            f"  bound to {options.host}: everybody who can reach this address can use and control the sandbox."
        )
    return "\n".join([*lines, "Press Ctrl-C to stop it."])
