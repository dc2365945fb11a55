"""Schedules of SMA's GridControl API and their commands, which limit what plants feed in."""

import polars as pl

from schemas.base import FINITE, Table, Utc, column
from schemas.core import PLANT_ID
from schemas.curtailment import ASKED_BY, FEED_IN, GENERATION

# The states of an event by IEEE 2030.5, and how it is there that one has ended.
SCHEDULED, ACTIVE, CANCELLED, SUPERSEDED = "Scheduled", "Active", "Cancelled", "Superseded"
CANCELLED_WITH_RANDOMIZATION, COMPLETED = "CancelledWithRandomization", "Completed"
STATES = [SCHEDULED, ACTIVE, CANCELLED, CANCELLED_WITH_RANDOMIZATION, SUPERSEDED, COMPLETED]
# Where the state comes from.
FROM_SMA, FROM_TIMES, NOT_LISTED = "sma", "times", "not_listed"
UNITS = ["W", "0.01 %", "switch"]
# What can happen to an order of `sunledger grid`.
SENDING, ACCEPTED, REFUSED, UNANSWERED = "sending", "accepted", "refused", "unanswered"
FOUND, NOT_KNOWN, NEW_STATE, LAPSED = "found", "not_known", "new_state", "lapsed"
CANCELLING, CANCEL_ACCEPTED, CANCEL_REFUSED = "cancelling", "cancel_accepted", "cancel_refused"
CANCEL_UNANSWERED, GIVEN_UP = "cancel_unanswered", "given_up"
ORDER_EVENTS = [
    SENDING,
    ACCEPTED,
    REFUSED,
    UNANSWERED,
    FOUND,
    NOT_KNOWN,
    NEW_STATE,
    LAPSED,
    CANCELLING,
    CANCEL_ACCEPTED,
    CANCEL_REFUSED,
    CANCEL_UNANSWERED,
    GIVEN_UP,
]


class RawGridSchedules(
    Table,
    table="raw_grid_schedules",
    layer="raw",
    published="no",
    key=("plant_id", "read_at"),
    partition=("read_date",),
):
    """Answers of the GridControl API with the schedules of each plant, as received. Nothing replaces an earlier answer.

    The form of these answers was never compared with the real service.
    """

    plant_id: str = column("Plant that the request names.")
    read_at: Utc = column("When the answer was complete.")
    read_date: pl.Date = column("Partition: the UTC day of read_at.", of=("read_at",))
    body: pl.Binary = column("Body of the answer, byte for byte.")


class _OfSchedule(Table):
    """Which schedule a row is of."""

    plant_id: str = column(PLANT_ID)
    schedule_id: str = column("Id of the schedule, by SMA.")


class GridSchedules(
    _OfSchedule,
    table="grid_schedules",
    layer="core",
    key=("plant_id", "schedule_id"),
    partition=(),
):
    """Schedules of the GridControl API: what somebody asked a plant to do, from when to when.

    The form of SMA's answers was never compared with the real service. The commands are in grid_commands.
    """

    created_at: Utc = column("When SMA accepted the schedule.", null="not in the answer", of=("body",))
    asked_by: str = column(
        "Who asked for it.",
        null="the answer names nobody, or somebody else",
        isin=ASKED_BY,
        of=("body",),
    )
    requested_by: str = column("Who asked for it, as SMA words it.", null="not in the answer", of=("body",))
    sma_status: str = column(
        "Status of the schedule as SMA words it.", null="not in the answer", of=("body",)
    )
    state: str = column(
        "The state that goes on longest of its commands: Active, else Scheduled, else that of the last one.",
        isin=STATES,
        of=("body",),
    )
    schedule_start: Utc = column("Start of the first command.", of=("body",))
    schedule_end: Utc = column("End of the last command; from then on the fallback holds.", of=("body",))
    n_commands: pl.Int64 = column("Commands, without the fallback.", unit="count", ge=1, of=("body",))
    has_fallback: bool = column("Whether a command applies when the schedule has ended.", of=("body",))
    is_listed: bool = column("Whether SMA's newest answer for the plant lists it.", of=("read_at",))
    first_read_at: Utc = column("When it was seen first.", of=("read_at",))
    last_read_at: Utc = column("When it was seen last.", of=("read_at",))


class GridCommands(
    _OfSchedule,
    table="grid_commands",
    layer="core",
    key=("plant_id", "schedule_id", "position"),
    partition=(),
):
    """Commands of the schedules in grid_schedules, their fallbacks included, and how long each of them held.

    A schedule supersedes older ones of the same command. What limits power here goes into curtailment_daily like the
    limits of SUNLEDGER_CURTAILMENT_LIMITS: where both hold, the lower one does.
    """

    position: pl.Int64 = column(
        "Number of the command in its schedule, from 1; the fallback comes last.", ge=1, of=("body",)
    )
    is_fallback: bool = column("Whether it applies when the schedule has ended.", of=("body",))
    command: str = column("Command as SMA names it, such as FeedInLimit.", of=("body",))
    standard_command: str = column(
        "The same command in IEEE 2030.5 (DERControl) or its extension CSIP-AUS, such as opModExpLimW.",
        null="no command of the standard is known for it",
        of=("body",),
    )
    value: float = column(
        "Value as SMA has it, in the unit of the column beside it; 1 and 0 for on and off.",
        unit="that of the field",
        null="no number",
        ge=-FINITE,
        le=FINITE,
        of=("body",),
    )
    unit: str = column(
        "Unit of the value: W, hundredths of a percent of the rated power, or on and off.",
        null="the command is not known",
        isin=UNITS,
        of=("body",),
    )
    command_start: Utc = column("Start of the command.", of=("body",))
    duration_s: float = column(
        "Duration of the command.",
        unit="s",
        null="a fallback, which has no end of its own",
        ge=0,
        le=FINITE,
        of=("body",),
    )
    command_end: Utc = column(
        "Start and duration.", null="a fallback, which has no end of its own", of=("body",)
    )
    state: str = column(
        "State when it was read last, by IEEE 2030.5; Completed where its time is over.", isin=STATES
    )
    state_source: str = column(
        "Where the state is from. sma: the answer; times: the answer has none that is known, so it follows from the "
        "times; not_listed: SMA no longer lists the schedule, so it was cancelled.",
        isin=[FROM_SMA, FROM_TIMES, NOT_LISTED],
        of=("body",),
    )
    held_until: Utc = column(
        "When it ended, or will: at command_end, or before where it was superseded or cancelled. Of a cancellation the "
        "moment is known no better than by when it was read. The same as command_start where it never held.",
        null="until further notice",
        of=("body", "read_at"),
    )
    limit_kind: str = column(
        "What it limits: feed_in at the grid connection, or generation, the power of the inverters.",
        null="it limits no power",
        isin=[FEED_IN, GENERATION],
        of=("body",),
    )
    limit_kw: float = column(
        "The limit.", unit="kW", null="a limit in %, or none", ge=0, le=FINITE, of=("body",)
    )
    limit_pct: float = column(
        "The limit as a share of the rated AC power.",
        unit="%",
        null="a limit in kW, or none",
        ge=0,
        le=FINITE,
        of=("body",),
    )
    request_key: str = column(
        "Key that the sender gave it (mRID in IEEE 2030.5), by which a schedule is found again.",
        null="not in the answer",
        of=("body",),
    )
    read_at: Utc = column("When it was read last.")


class GridCommandAudit(
    Table,
    table="grid_command_audit",
    asset=False,
    layer="core",
    key=("request_key", "event_number"),
    partition=("event_date",),
):
    """What `sunledger grid` has ordered of plants, and what became of it, event by event. No command changes a row.

    An event is recorded in the home, or in the cluster's PostgreSQL, before the request that it is about is sent, and
    comes here at the end of the command, or with the next one or the next daily reading where it was killed.
    """

    request_key: str = column("Our own key of the order, which SMA gets as mRID.")
    event_number: pl.Int64 = column("Number of the event of this order, from 1.", ge=1)
    event_at: Utc = column("When it happened, by the clock of the machine.")
    event_date: pl.Date = column("Partition: the UTC day of event_at.", of=("event_at",))
    event: str = column(
        "What happened. sending: recorded before the request is sent; accepted, refused, unanswered: what SMA said to "
        "it; found, not_known: whether its schedules have the key; new_state: the state is another one; lapsed: its "
        "time is over and SMA does not list it; cancelling, cancel_accepted, cancel_refused, cancel_unanswered: the "
        "same of its cancellation; given_up: nobody wants it any more, and SMA does not list it.",
        isin=ORDER_EVENTS,
    )
    operator: str = column("Who ran the command: the user of the operating system.")
    asked_by: str = column("Who asked for the limit.", isin=ASKED_BY)
    plant_id: str = column(PLANT_ID)
    command: str = column("Command as SMA names it.")
    limit_kw: float = column("The limit.", unit="kW", ge=0, le=FINITE)
    command_start: Utc = column("Start of the command.")
    command_end: Utc = column("End of the command.")
    schedule_id: str = column("Id of the schedule, by SMA.", null="not known, or not known yet")
    status: pl.Int64 = column("HTTP status of SMA's answer.", null="no answer came, or none was asked for")
    state: str = column("State of the command by SMA.", null="not known, or not known yet", isin=STATES)
    text: str = column("The event as a sentence.")
