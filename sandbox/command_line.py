"""The command line: `python -m sandbox serve`, mounted by the product's own CLI as `sunledger sandbox serve`."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

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
    OptionError,
    Options,
    Replay,
    TimeRules,
)
from sandbox.serve_options import (
    AllowedHosts,
    ClientId,
    ClientSecret,
    CodeClientId,
    CodeClientSecret,
    ConsentAfter,
    DayRule,
    Faults,
    FoldRows,
    HostileNames,
    HostName,
    Latitudes,
    ListFaults,
    Longitudes,
    MoreClients,
    Names,
    OwnersWithoutConsent,
    PlantCount,
    PlantIds,
    PortNumber,
    RatedPowers,
    ReadyJson,
    Recordings,
    Replays,
    RequestsPer5Min,
    RetryAfterForm,
    Seed,
    TimeBasis,
    Timezones,
    UntilStdinCloses,
    WeekRule,
)

app = typer.Typer(
    help="Run a look-alike of SMA's services for development, training and tests. It is not SMA."
)

WRONG_USAGE = 2


@app.callback()
def main() -> None:
    """Run a look-alike of SMA's services for development, training and tests. It is not SMA."""


@app.command("serve")
def run_serve(
    host: HostName = LOOPBACK,
    port: PortNumber = 8400,
    allow_host: AllowedHosts = None,
    ready_json: ReadyJson = False,
    until_stdin_closes: UntilStdinCloses = False,
    plants: PlantCount = 12,
    seed: Seed = 7,
    hostile_names: HostileNames = False,
    recordings: Recordings = False,
    replay: Replays = None,
    timezone: Timezones = None,
    rated_kw: RatedPowers = None,
    name: Names = None,
    plant_id: PlantIds = None,
    latitude: Latitudes = None,
    longitude: Longitudes = None,
    time_basis: TimeBasis = "plant_local",
    fold: FoldRows = "twice",
    day_of: DayRule = "local",
    week_of: WeekRule = "date",
    client_id: ClientId = DEFAULT_CLIENT_ID,
    client_secret: ClientSecret = DEFAULT_CLIENT_SECRET,
    more_clients: MoreClients = 0,
    code_client_id: CodeClientId = DEFAULT_CODE_CLIENT_ID,
    code_client_secret: CodeClientSecret = DEFAULT_CODE_CLIENT_SECRET,
    owners_without_consent: OwnersWithoutConsent = 0,
    consent_after: ConsentAfter = None,
    requests_per_5_min: RequestsPer5Min = None,
    retry_after: RetryAfterForm = "seconds",
    fault: Faults = None,
    list_faults: ListFaults = False,
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
