"""What was asked of SMA, and what SMA charges for it: the record that bills and budgets are checked against."""

import polars as pl

from schemas.base import CAPACITY_CLASSES, FINITE, Money, Table, Utc, column, money

NO_PRICE_LIST = "no_price_list"
PRICINGS = ["priced", "no_capacity", "no_price", NO_PRICE_LIST]
DECISIONS = ["invoiced", "year_end", "carried", "waits_for_year_end"]
UNPRICED = "unpriced: pricing says why, and it is not free"


class ApiRequests(
    Table,
    table="api_requests",
    asset=False,
    layer="core",
    key=("plant_id", "asked_at", "request_id"),
    partition=("asked_date",),
):
    """Every HTTP request sent to SMA, retries, renewed tokens and requests without an answer included."""

    request_id: str = column("Name of this one request.")
    asked_at: Utc = column("When it was sent.")
    asked_date: pl.Date = column("Partition: the UTC day on which it was sent.")
    plant_id: str = column("Plant asked for; empty where none was.")
    device_id: str = column("Device asked for; empty where none was.")
    endpoint: str = column(
        "Kind of data asked for (plants, devices, sets, measurements, logs), or token, logout, consent, other."
    )
    set_type: str = column("Measurement set as the API names it; empty where the request has none.")
    period: str = column("Period as the API names it; empty where the request has none.")
    request_date: str = column("The request's date as sent, or its first and last; empty where it has none.")
    attempt: pl.Int32 = column(
        "1 for the first try of a request for data, then counted up.",
        unit="count",
        null="no request for data",
        ge=1,
    )
    status: pl.Int32 = column(
        "HTTP status; 600 and more, which HTTP does not know, come from proxies.",
        null="no complete answer came",
        ge=100,
        le=999,
    )
    error: str = column(
        "Why the try gave no usable answer, where the status does not say it.", null="a complete answer came"
    )
    bytes: pl.Int64 = column("Size of the answer's body, unpacked.", unit="B", ge=0)
    elapsed_ms: float = column("Time from sending to the end of the answer.", unit="ms", ge=0, le=FINITE)


class BillingUnits(
    Table,
    table="billing_units",
    layer="report",
    key=("plant_id", "month"),
    partition=("month",),
):
    """Every PU: a system and a month in which SMA answered a request for its data, with what SMA charges for it."""

    plant_id: str = column(
        "The system: a plant's id. A system that got a new id counts under that from then on."
    )
    month: pl.Date = column("First day of the month of asking, whatever days were asked for.")
    capacity_kw: float = column(
        "AC capacity that the month is billed with: as SMA listed it last by the month's end, or first after it where "
        "that is unknown; capacity_as_of says when.",
        unit="kW",
        null="SMA has never given one, so the PU is unpriced",
        ge=0,
        le=FINITE,
    )
    capacity_as_of: pl.Date = column(
        "Day (UTC) of the list that the capacity is from.", null="SMA has never given a capacity"
    )
    capacity_class: str = column(
        "Class of the capacity by which SMA charges.",
        null="SMA has never given a capacity",
        isin=CAPACITY_CLASSES,
    )
    n_requests: pl.Int64 = column("Requests for its data that SMA answered (2xx).", unit="count", ge=1)
    n_device_requests: pl.Int64 = column("Of these, requests for one device.", unit="count", ge=0)
    first_request: Utc = column("When the first of these was sent: from then on the month is charged.")
    last_request: Utc = column("When the last of these was sent.")
    base_eur: Money = money("The part of the fee that the class decides.", UNPRICED)
    capacity_eur: Money = money("The part of the fee that the capacity decides.", UNPRICED)
    fee_eur: Money = money("Fee of the PU: base_eur + capacity_eur.", UNPRICED)
    currency: str = column(
        "Currency of the amounts, by the price list.",
        null="the month has no price, or there is no price list",
    )
    pricing: str = column(
        "priced, or why there is no fee: no_capacity (SMA gives none), no_price (the price list begins later), "
        "no_price_list (it can't be read).",
        isin=PRICINGS,
    )
    price_valid_from: pl.Date = column(
        "Entry of the price list that was used.", null="the price list begins later, or can't be read"
    )
    price_source: str = column(
        "What the price list says of that entry.", null="the price list begins later, or can't be read"
    )


class Invoices(Table, table="invoices", layer="report", key=("year", "quarter"), partition=()):
    """What SMA should invoice for each quarter: small sums are carried into the next one, the year's end is not."""

    year: pl.Int32 = column("Calendar year.", ge=2000, le=2200)
    quarter: pl.Int32 = column("Quarter of the year.", ge=1, le=4)
    n_units: pl.Int64 = column("PU of the quarter.", unit="count", ge=0)
    n_unpriced: pl.Int64 = column(
        "PU of these without a price: above 0, every amount is too low.", unit="count", ge=0
    )
    units_eur: Money = money("Fees of the quarter's PU.")
    live_eur: Money = money("Fees of the Live plan that the price list names, for the months begun.")
    fees_eur: Money = money("Fees of the quarter: units_eur + live_eur.")
    carried_in_eur: Money = money("Carried in from earlier quarters of the year.")
    invoiced_eur: Money = money("Invoiced for the quarter: fees and what was carried in, or 0.")
    carried_out_eur: Money = money("Carried into the next quarter: what was not invoiced.")
    decision: str = column(
        "invoiced (the sum exceeds the limit), year_end (the year's last quarter takes all), carried (the sum does "
        "not exceed the limit), waits_for_year_end (annual payment).",
        isin=DECISIONS,
    )
    is_closed: bool = column("False while the quarter lasts: its amounts may still grow.")
    currency: str = column("Currency of the amounts, by the price list.")
