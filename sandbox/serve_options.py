"""The options of `sandbox serve`: what each is called, what it takes, and the part of the help that shows it.

Their defaults stand in the command's signature.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from sandbox.options import Basis, DayOf, Fold, RetryAfter, WeekOf

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

HostName: TypeAlias = Annotated[
    str,
    _Starting(
        help="Address to bind. Any address but loopback makes the sandbox reachable from your network."
    ),
]
PortNumber: TypeAlias = Annotated[
    int, _Starting(min=0, max=65535, help="Port to listen on. 0 takes any free port.")
]
AllowedHosts: TypeAlias = Annotated[
    list[str] | None,
    _Starting(
        help="Additional host name of this sandbox, such as the name of a proxy. Repeat the option for more names."
    ),
]
ReadyJson: TypeAlias = Annotated[
    bool, _Starting("--ready-json", help="Print one line of JSON when the sandbox listens.")
]
UntilStdinCloses: TypeAlias = Annotated[
    bool, _Starting("--until-stdin-closes", help="Stop when standard input is closed.")
]
PlantCount: TypeAlias = Annotated[int, _Plants(min=0, max=100_000, help="Number of simulated plants.")]
Seed: TypeAlias = Annotated[
    int,
    _Plants(
        min=0,
        max=2**32,
        help="Seed of the simulation. The same seed gives the same plants and the same bytes.",
    ),
]
HostileNames: TypeAlias = Annotated[
    bool, _Plants("--hostile-names", help="Use plant names that break careless clients.")
]
Recordings: TypeAlias = Annotated[
    bool, _Plants("--recordings", help="Add the two recordings that come with sunledger.")
]
Replays: TypeAlias = Annotated[
    list[Path] | None,
    _Recordings(help="Recording (Parquet) to serve as a plant. Repeat the option for more recordings."),
]
Timezones: TypeAlias = Annotated[
    list[str] | None, _Recordings(help="Time zone of the recording, once for each --replay.")
]
RatedPowers: TypeAlias = Annotated[
    list[float] | None, _Recordings(help="Rated power of the recording in kW, once for each --replay.")
]
Names: TypeAlias = Annotated[
    list[str] | None, _Recordings(help="Name of the recording's plant, once for each --replay.")
]
PlantIds: TypeAlias = Annotated[
    list[str] | None, _Recordings(help="Id of the recording's plant, once for each --replay.")
]
Latitudes: TypeAlias = Annotated[
    list[float] | None, _Recordings(help="Latitude of the recording, once for each --replay.")
]
Longitudes: TypeAlias = Annotated[
    list[float] | None, _Recordings(help="Longitude of the recording, once for each --replay.")
]
TimeBasis: TypeAlias = Annotated[
    Basis, _Times(help="Time basis of the times in answers: UTC or the plant's local time.")
]
FoldRows: TypeAlias = Annotated[Fold, _Times(help="Repeated hour of autumn: two rows for each time, or one.")]
DayRule: TypeAlias = Annotated[
    DayOf, _Times(help="With times in UTC: whether a Day is a UTC day or a local day.")
]
WeekRule: TypeAlias = Annotated[WeekOf, _Times(help="First day of a Week: the given date, or its Monday.")]
ClientId: TypeAlias = Annotated[str, _Clients(help="Client id of the custom flow.")]
ClientSecret: TypeAlias = Annotated[str, _Clients(help="Secret of that client.")]
MoreClients: TypeAlias = Annotated[
    int,
    _Clients(
        min=0,
        max=99,
        help="Number of further clients of the custom flow, called NAME-2, NAME-3 and so on, with the same "
        "secret. Each has a request budget of its own; owners have consented to one of them each, in turn.",
    ),
]
CodeClientId: TypeAlias = Annotated[str, _Clients(help="Client id of the code flow.")]
CodeClientSecret: TypeAlias = Annotated[str, _Clients(help="Secret of that client.")]
OwnersWithoutConsent: TypeAlias = Annotated[
    int, _Clients(min=0, help="Number of simulated owners who have not consented, at most all.")
]
ConsentAfter: TypeAlias = Annotated[
    float | None, _Clients(min=0, help="Seconds after which owners accept on their own.")
]
RequestsPer5Min: TypeAlias = Annotated[
    int | None, _Misbehaviour(min=1, help="Request budget of each client in 5 minutes.")
]
RetryAfterForm: TypeAlias = Annotated[
    RetryAfter, _Misbehaviour(help="Form of the header Retry-After in answers with status 429.")
]
Faults: TypeAlias = Annotated[
    list[str] | None,
    _Misbehaviour(
        help="Fault to switch on, as NAME[=SHARE][,setting=value...], for example status_503=0.05. Repeat the "
        "option for more."
    ),
]
ListFaults: TypeAlias = Annotated[bool, _Misbehaviour("--list-faults", help="List all faults and exit.")]
