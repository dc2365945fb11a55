"""What was asked of SMA: the record that bills and budgets are checked against."""

import polars as pl

from schemas.base import FINITE, Table, Utc, column


class ApiRequests(
    Table,
    table="api_requests",
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
    request_date: str = column("The request's date as sent; empty where it has none.")
    attempt: pl.Int32 = column(
        "1 for the first try of a request for data, then counted up.",
        unit="count",
        null="no request for data",
        ge=1,
    )
    status: pl.Int32 = column("HTTP status.", null="no complete answer came", ge=100, le=599)
    error: str = column(
        "Why the try gave no usable answer, where the status does not say it.", null="a complete answer came"
    )
    bytes: pl.Int64 = column("Size of the answer's body, unpacked.", unit="B", ge=0)
    elapsed_ms: float = column("Time from sending to the end of the answer.", unit="ms", ge=0, le=FINITE)
