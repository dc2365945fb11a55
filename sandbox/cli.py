"""The command line: `python -m sandbox serve`, mounted by the product's own CLI as `sunledger sandbox serve`."""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
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
    OptionError,
    Options,
    Replay,
    TimeRules,
)

app = typer.Typer(help="A look-alike of SMA's services for building, teaching and testing. It is not SMA.")

WRONG_USAGE = 2


class _Basis(StrEnum):
    UTC = "utc"
    PLANT_LOCAL = "plant_local"


class _Fold(StrEnum):
    TWICE = "twice"
    MERGED = "merged"


class _DayOf(StrEnum):
    LOCAL = "local"
    UTC = "utc"


class _WeekOf(StrEnum):
    DATE = "date"
    MONDAY = "monday"


class _RetryAfter(StrEnum):
    SECONDS = "seconds"
    DATE = "date"
    NONE = "none"


@app.callback()
def main() -> None:
    """A look-alike of SMA's services for building, teaching and testing. It is not SMA."""


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(help="Address to bind; anything but loopback shows it to your network.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 lets the system choose.")] = 8400,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name that leads here on purpose, as of a proxy. Repeatable.")
    ] = None,
    plants: Annotated[int, typer.Option(min=0, max=100_000, help="How many simulated plants.")] = 12,
    seed: Annotated[int, typer.Option(min=0, max=2**32, help="Same seed, same plants, same bytes.")] = 7,
    time_basis: Annotated[
        _Basis, typer.Option(help="Labels in UTC or in the plant's wall clock.")
    ] = _Basis.PLANT_LOCAL,
    fold: Annotated[
        _Fold, typer.Option(help="The repeated autumn hour: two rows of a label, or one.")
    ] = _Fold.TWICE,
    day_of: Annotated[_DayOf, typer.Option(help="With UTC labels: which day a Day is.")] = _DayOf.LOCAL,
    week_of: Annotated[
        _WeekOf, typer.Option(help="Week: seven days from the date, or from its Monday.")
    ] = _WeekOf.DATE,
    replay: Annotated[
        list[Path] | None, typer.Option(help="A recording (Parquet) to serve as a plant.")
    ] = None,
    timezone: Annotated[
        list[str] | None, typer.Option(help="Zone of the recording, in step with --replay.")
    ] = None,
    rated_kw: Annotated[
        list[float] | None, typer.Option(help="Rated power of the recording, in step.")
    ] = None,
    name: Annotated[list[str] | None, typer.Option(help="Name of the recording's plant, in step.")] = None,
    plant_id: Annotated[list[str] | None, typer.Option(help="Id of the recording's plant, in step.")] = None,
    latitude: Annotated[list[float] | None, typer.Option(help="Latitude of the recording, in step.")] = None,
    longitude: Annotated[
        list[float] | None, typer.Option(help="Longitude of the recording, in step.")
    ] = None,
    recordings: Annotated[
        bool, typer.Option("--recordings", help="Add the two recordings that come along.")
    ] = False,
    client_id: Annotated[str, typer.Option(help="Client of the custom flow.")] = DEFAULT_CLIENT_ID,
    client_secret: Annotated[str, typer.Option(help="Its secret.")] = DEFAULT_CLIENT_SECRET,
    code_client_id: Annotated[str, typer.Option(help="Client of the code flow.")] = DEFAULT_CODE_CLIENT_ID,
    code_client_secret: Annotated[str, typer.Option(help="Its secret.")] = DEFAULT_CODE_CLIENT_SECRET,
    owners_without_consent: Annotated[
        int, typer.Option(min=0, help="How many owners have not consented.")
    ] = 0,
    consent_after: Annotated[
        float | None, typer.Option(min=0, help="Seconds after which owners accept on their own.")
    ] = None,
    requests_per_5_min: Annotated[
        int | None, typer.Option(min=1, help="Request budget of a credential.")
    ] = None,
    retry_after: Annotated[
        _RetryAfter, typer.Option(help="What a 429 says in Retry-After.")
    ] = _RetryAfter.SECONDS,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="NAME[=SHARE][,setting=value...], for example status_503=0.05. Repeatable."),
    ] = None,
    list_faults: Annotated[bool, typer.Option("--list-faults", help="Show all faults and stop.")] = False,
    hostile_names: Annotated[
        bool, typer.Option("--hostile-names", help="Plants with names that break things.")
    ] = False,
    ready_json: Annotated[
        bool, typer.Option("--ready-json", help="Print one JSON line when listening.")
    ] = False,
    until_stdin_closes: Annotated[
        bool, typer.Option("--until-stdin-closes", help="Stop when standard input ends.")
    ] = False,
) -> None:
    """Serve all services on one address until stopped."""
    if list_faults:
        typer.echo("\n".join(f"{kind.name:20}{kind.what}" for kind in KINDS.values()))
        return
    try:
        replays = _replays(
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
            rules=TimeRules(time_basis.value, fold.value, day_of.value, week_of.value),
            replays=replays,
            recordings=recordings,
            client_id=client_id,
            client_secret=client_secret,
            code_client_id=code_client_id,
            code_client_secret=code_client_secret,
            owners_without_consent=owners_without_consent,
            consent_after_s=consent_after,
            requests_per_5_min=requests_per_5_min,
            retry_after=retry_after.value,
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
        address_of,
        listen,
        ready_line,
        serve,
        stay_on_one_core,
    )

    stay_on_one_core()  # before all that loads numpy

    from sandbox.app import build_app  # noqa: PLC0415
    from sandbox.faults.plan import FaultError  # noqa: PLC0415
    from sandbox.series.replayed import RecordingError  # noqa: PLC0415
    from sandbox.world import World  # noqa: PLC0415

    try:
        application = build_app(World(options))
        listener = listen(options.host, options.port)
    except (RecordingError, FaultError, CannotListenError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG_USAGE) from error
    address = address_of(options, listener)

    def announce() -> None:
        typer.echo(_banner(address, options), err=True)
        if ready_json:
            sys.stdout.write(ready_line(address) + "\n")
            sys.stdout.flush()

    serve(application, listener, on_ready=announce, until_stdin_closes=until_stdin_closes)


def _replays(paths: list[Path], traits: Mapping[str, Sequence[object] | None]) -> tuple[Replay, ...]:
    """The repeated options, put together in step; a trait given at all must be given for every recording."""
    given = {trait: values for trait, values in traits.items() if values}
    for trait, values in given.items():
        if len(values) != len(paths):
            option = "--" + trait.replace("_", "-")
            raise typer.BadParameter(
                f"{option} came {len(values)} times for {len(paths)} recordings: repeat it in step."
            )
    return tuple(
        Replay(path, **{trait: values[number] for trait, values in given.items()})  # type: ignore[arg-type]
        for number, path in enumerate(paths)
    )


def _banner(address: SandboxAddress, options: Options) -> str:
    lines = [
        "This is the sunledger sandbox. It is NOT SMA: its plants are simulated or replayed, its tokens open nothing.",
        f"  address        {address.url}",
        f"  monitoring     {address.url}/monitoring",
        f"  live           {address.url}/live",
        f"  grid control   {address.url}/gridcontrol",
        f"  custom flow    client {options.client_id}",
        f"  code flow      client {options.code_client_id}, owners owner1@example.com ..., password {OWNER_PASSWORD}",
        f"  time basis     {options.rules.basis}",
    ]
    if options.host != LOOPBACK:
        lines.append(f"  bound to {options.host}: whoever can reach this address can use and control it.")
    return "\n".join([*lines, "Stop it with Ctrl-C."])
