"""Requests to SMA and what SMA charges for them: the record against which invoices and budgets are checked."""

import polars as pl

from schemas.base import CAPACITY_CLASSES, FINITE, Money, Table, Utc, column, money

NO_PRICE_LIST = "no_price_list"
PRICINGS = ["priced", "no_capacity", "no_price", NO_PRICE_LIST]
DECISIONS = ["invoiced", "year_end", "carried", "waits_for_year_end"]
UNPRICED = "the PU is unpriced, which does not mean free; pricing says why"


class ApiRequests(
    Table,
    table="api_requests",
    asset=False,
    layer="core",
    key=("plant_id", "asked_at", "request_id"),
    partition=("asked_date",),
):
    """Every HTTP request that was sent to SMA, including retries, token renewals and requests without an answer."""

    request_id: str = column("Unique id of the request.")
    asked_at: Utc = column("When the request was sent.")
    asked_date: pl.Date = column("Partition: the UTC day on which the request was sent.")
    plant_id: str = column("Plant that the request names; empty where it names none.")
    device_id: str = column("Device that the request names; empty where it names none.")
    endpoint: str = column(
        "Kind of data requested (plants, devices, sets, measurements, logs; of the Live API: live, "
        "live_configuration; of the GridControl API: grid_schedules, grid_eligibility, grid_command, "
        "grid_cancellation), or token, logout, consent, other."
    )
    set_type: str = column("Measurement set as the API names it; empty where the request has none.")
    period: str = column("Period as the API names it; empty where the request has none.")
    request_date: str = column("The request's date as sent, or its first and last; empty where it has none.")
    attempt: pl.Int32 = column(
        "Number of the try of a request for data, counted from 1.",
        unit="count",
        null="not a request for data",
        ge=1,
    )
    status: pl.Int32 = column(
        "HTTP status. Numbers from 600, which HTTP does not define, come from proxies.",
        null="no complete answer came",
        ge=100,
        le=999,
    )
    error: str = column(
        "Why the try gave no usable answer, where the status does not show it.", null="a complete answer came"
    )
    bytes: pl.Int64 = column("Size of the answer's body after decompression.", unit="B", ge=0)
    elapsed_ms: float = column("Time from sending to the end of the answer.", unit="ms", ge=0, le=FINITE)


class BillingUnits(
    Table,
    table="billing_units",
    layer="report",
    key=("plant_id", "month"),
    partition=("month",),
):
    """Every PU (a system in a month in which SMA answered a request for its data), with what SMA charges for
    it.
    """

    plant_id: str = column(
        "System, by the plant's id. A system that gets a new id counts under the new id from then on."
    )
    month: pl.Date = column(
        "First day of the month in which the requests were sent, whatever days they ask for."
    )
    capacity_kw: float = column(
        "AC capacity by which the month is billed: the last one that SMA listed by the end of the month, or the "
        "first one listed afterwards where there is none; capacity_as_of has the day of the list.",
        unit="kW",
        null="SMA has never given one, so the PU is unpriced",
        ge=0,
        le=FINITE,
    )
    capacity_as_of: pl.Date = column(
        "Day (UTC) of the list that gives the capacity.", null="SMA has never given a capacity"
    )
    capacity_class: str = column(
        "Class of the capacity by which SMA charges.",
        null="SMA has never given a capacity",
        isin=CAPACITY_CLASSES,
    )
    n_requests: pl.Int64 = column("Requests for its data that SMA answered (2xx).", unit="count", ge=1)
    n_device_requests: pl.Int64 = column("How many of n_requests ask for one device.", unit="count", ge=0)
    first_request: Utc = column(
        "When the first of these requests was sent; the month is charged from then on."
    )
    last_request: Utc = column("When the last of these requests was sent.")
    base_eur: Money = money("Part of the fee that depends on the class.", UNPRICED)
    capacity_eur: Money = money("Part of the fee that depends on the capacity.", UNPRICED)
    fee_eur: Money = money("Fee of the PU: base_eur + capacity_eur.", UNPRICED)
    currency: str = column(
        "Currency of the amounts, from the price list.",
        null="the month has no price, or there is no price list",
    )
    pricing: str = column(
        "priced, or why there is no fee: no_capacity (SMA gives no capacity), no_price (the price list begins "
        "later), no_price_list (the price list can't be read).",
        isin=PRICINGS,
    )
    price_valid_from: pl.Date = column(
        "First day on which the applied entry of the price list is valid.",
        null="the price list begins later, or can't be read",
    )
    price_source: str = column(
        "Source of that entry, as the price list names it.",
        null="the price list begins later, or can't be read",
    )


class Invoices(Table, table="invoices", layer="report", key=("year", "quarter"), partition=()):
    """What SMA should invoice for each quarter.

    Small sums are carried into the next quarter, but not into the next year.
    """

    year: pl.Int32 = column("Calendar year.", ge=2000, le=2200)
    quarter: pl.Int32 = column("Quarter of the year.", ge=1, le=4)
    n_units: pl.Int64 = column("PU of the quarter.", unit="count", ge=0)
    n_unpriced: pl.Int64 = column(
        "PU without a price among them; if there are any, every amount is too low.", unit="count", ge=0
    )
    units_eur: Money = money("Fees of the quarter's PU.")
    live_eur: Money = money(
        "Fees of the Live plan that the price list names, for all months that have begun."
    )
    fees_eur: Money = money("Fees of the quarter: units_eur + live_eur.")
    carried_in_eur: Money = money("Amount carried in from earlier quarters of the year.")
    invoiced_eur: Money = money("Amount invoiced for the quarter: the fees and the amount carried in, or 0.")
    carried_out_eur: Money = money("Amount carried into the next quarter because it was not invoiced.")
    decision: str = column(
        "invoiced (the sum exceeds the limit), year_end (the last quarter of the year invoices everything), carried "
        "(the sum does not exceed the limit), waits_for_year_end (annual payment).",
        isin=DECISIONS,
    )
    is_closed: bool = column("True once the quarter is over; until then its amounts may still grow.")
    currency: str = column("Currency of the amounts, from the price list.")
