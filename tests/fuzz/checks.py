"""What must hold for any bytes: a clear error of ours, or rows that satisfy their model; never a figure from garbage.

Each check takes bytes and fails by an exception that is none of ours. The bytes decide everything, so that a finding
can be kept as a file.
"""

import datetime as dt
import json
import math
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
from hypothesis import strategies as st

from pipeline.billing.invoice_file import read_invoice
from pipeline.billing.prices import load_prices
from pipeline.common.errors import SunledgerError
from pipeline.common.local_time import (
    TimeBasis,
    convert_to_wall_clock,
    find_local_day,
    is_timezone,
    request_dates,
)
from pipeline.common.settings import Settings, load_settings, name_variable
from pipeline.extract.answer_checks import fault_of, faults_of
from pipeline.extract.split_json import Span, cut_logs, cut_rows
from pipeline.run.fleet import fleet_of
from pipeline.run.request_log import RequestLog
from pipeline.run.unfinished_days import take_over_days
from pipeline.sma.auth.login_store import LoginStore
from pipeline.sma.budget.file_store import unpack
from pipeline.sma.consents.consent_book import ConsentBook
from pipeline.sma.requests import Answer, Endpoint, Request
from pipeline.tables.supplied_irradiation import IRRADIATION, read_supplied_irradiation
from pipeline.transform import inventory, log_entries
from pipeline.transform.decode import Decoder
from pipeline.transform.generic_intervals import OtherTransform
from pipeline.transform.intervals import SetTransform
from pipeline.transform.thresholds import load_thresholds
from schemas import (
    ApiRequests,
    Devices,
    LogMessages,
    Logs,
    MeasurementSets,
    Plants,
    Quarantine,
    Table,
    storage,
)
from schemas.quantities import ENERGY_BALANCE
from schemas.sets import SOURCES, VALUES
from tests.fuzz import inputs
from tests.transform.answers import FETCHED, Outcome, places, raw
from warehouse.frames import sort, validate
from warehouse.lake import Lake

TODAY = dt.date(2025, 7, 20)
SETS = (*SOURCES, VALUES)
BASES: tuple[TimeBasis, ...] = ("plant_local", "utc")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
RATED_W = 5_000.0
Check = Callable[[bytes], None]


def _choice(data: bytes, salt: int, count: int) -> int:
    """A number below `count` that the bytes decide, each salt another one."""
    return zlib.crc32(data, salt) % count


# ---- answers ---------------------------------------------------------------------------------------------------------


def check_measurements(data: bytes) -> None:
    """An answer to rows of one of the interval tables, twice in a batch with a good one."""
    source = SETS[_choice(data, 1, len(SETS))]
    basis = BASES[_choice(data, 2, 2)]
    day = dt.date.fromisoformat(inputs.DAYS[_choice(data, 3, len(inputs.DAYS))])
    zone = ZONES[_choice(data, 4, len(ZONES))]
    device = "7" if source.of_devices else ""
    good = b'{"resolution":"FiveMinutes","set":[{"time":"%b"}]}' % f"{day}T12:00:00".encode()
    where = places(
        {"1": zone, "2": zone},
        rated_w=RATED_W,
        device=device or None,
        latitude=52.0,
        longitude=13.0,
        peak_w=6_000.0,
    ).with_columns(own_w=pl.lit(None, pl.Float64))
    merged = ("gap", "mean")[_choice(data, 5, 2)]
    transform = SetTransform(source.set, source.intervals, basis, merged)  # type: ignore[arg-type]
    frames = [raw([("1", data), ("2", good)], device=device)]
    outcome = Outcome.of(source.intervals, transform.day(frames, where, day))
    rows = outcome.rows
    _fits(source.intervals, rows, {"local_date": day})
    _fits(Quarantine, outcome.quarantine, {"local_date": day})
    _energies_are_of_the_powers(rows, find_local_day(day, zone).hours)
    if source.set is ENERGY_BALANCE and not source.energies:
        _pv_is_within_its_bound(rows)


def check_other_sets(data: bytes) -> None:
    """The same for a set that no table knows: every value becomes a row or is told."""
    day = dt.date(2025, 7, 9)
    where = places({"1": "Europe/Berlin"}, device="")
    transform = OtherTransform("Novel", BASES[_choice(data, 1, 2)])
    frames = [raw([("1", data)]).with_columns(set_type=pl.lit("Novel"))]
    outcome = Outcome.of(transform.model, transform.day(frames, where, day))
    _fits(transform.model, outcome.rows, {"local_date": day})
    _fits(Quarantine, outcome.quarantine, {"local_date": day})


def check_split(data: bytes) -> None:
    """A week's answer cut by day: the pieces hold the rows of the whole, each once."""
    days = [dt.date(2025, 7, 7) + dt.timedelta(days=n) for n in range(7)]
    spans = [
        Span(f"{day}T00:00:00".encode(), f"{day + dt.timedelta(days=1)}T00:00:00".encode()) for day in days
    ]
    pieces = cut_rows(data, spans)
    if pieces is None:
        return
    assert len(pieces.bodies) == len(pieces.rows) == len(spans)
    decoder = Decoder(("pvGeneration",))
    whole = decoder.decode(pl.Series([data], dtype=pl.Binary))
    if whole.bad_answers.height:
        return
    read = [decoder.decode(pl.Series([body], dtype=pl.Binary)) for body in pieces.bodies]
    assert not any(part.bad_answers.height for part in read)
    # What is no row at all, such as a number among rows, goes with the row before it.
    assert [part.rows["raw_time"].count() for part in read] == list(pieces.rows)
    assert sum(pieces.rows) + pieces.before + pieces.after <= whole.rows.height
    labels = pl.concat([part.rows["raw_time"] for part in read])
    assert labels.is_in(whole.rows["raw_time"].implode()).all()


def check_logs(data: bytes) -> None:
    """A log's entries by day, and the rows and messages that are made of them."""
    if _is_refused(data, "logs"):
        return
    spans = [
        Span(b"2025-07-08T00:00:00", b"2025-07-09T00:00:00"),
        Span(b"2025-07-09T00:00:00", b"2025-07-10T00:00:00"),
    ]
    (pieces,) = cut_logs([(data, spans)])
    bodies = [data] if pieces is None else list(pieces.bodies)
    where = pl.DataFrame({"plant_id": ["1"], "timezone": [ZONES[_choice(data, 1, len(ZONES))]]})
    day = dt.date(2025, 7, 9)
    frame = pl.concat(raw([("1", body)], device=("", "7")[n % 2]) for n, body in enumerate(bodies))
    rows = log_entries.build_entries(frame, where, day, BASES[_choice(data, 2, 2)])
    _fits(Logs, rows, {"local_date": day})
    plants = pl.DataFrame({"plant_id": ["1"], "backend": ["ennexos"]})
    _fits(LogMessages, log_entries.build_messages(rows.lazy(), plants), {})


def check_plants(data: bytes) -> None:
    """A list of plants: rows, what was set aside, what is odd, what is new."""
    if _is_refused(data, "plants"):
        return
    answers = raw([("", data)]).select("plant_id", "device_id", "body")
    rows, aside = inventory.build_plants(answers, TODAY)
    _fits(Plants, rows, {})
    assert not set(rows["plant_id"]) & set(aside["plant_id"])
    assert set(inventory.list_plant_ids(answers)) == set(rows["plant_id"]) | set(aside["plant_id"])
    _odd(inventory.find_odd_facts(answers))
    inventory.find_unknown_fields(answers, "plants", inventory.PLANT_FIELDS)
    kept = inventory.remember_plants(rows, rows)
    _fits(Plants, kept, {})


def check_devices(data: bytes) -> None:
    """A plant's list of devices."""
    if _is_refused(data, "devices"):
        return
    answers = raw([("1", data)]).select("plant_id", "device_id", "body")
    _fits(Devices, inventory.build_devices(answers, TODAY), {})
    _odd(inventory.find_odd_facts(answers, of_devices=True))
    inventory.find_unknown_fields(answers, "devices", inventory.DEVICE_FIELDS)


def check_set_lists(data: bytes) -> None:
    """A plant's list of measurement sets."""
    if _is_refused(data, "sets"):
        return
    answers = raw([("1", data)]).select("plant_id", "device_id", "body")
    _fits(MeasurementSets, inventory.build_measurement_sets(answers), {})


def _is_refused(data: bytes, endpoint: Endpoint) -> bool:
    """Whether a list is not even stored."""
    return fault_of(_answer(data, Request(endpoint, "1" if endpoint != "plants" else ""))) is not None


def check_acceptance(data: bytes) -> None:
    """Whether an answer of measurements is taken: never one that then can't be decoded."""
    answer = _answer(data, Request.plant_day("1", "EnergyBalance", dt.date(2025, 7, 9)))
    fault_of(answer)
    refused = faults_of([answer])
    read = Decoder(("pvGeneration",)).decode(pl.Series([data], dtype=pl.Binary))
    if not refused:
        assert not read.bad_answers.height


def _answer(data: bytes, request: Request) -> Answer:
    return Answer(request, request.path, 200, FETCHED, 1.0, 1, data)


# ---- times -----------------------------------------------------------------------------------------------------------


def check_timezone(data: bytes) -> None:
    """The name of a zone: none of ours that it is none, or days that follow each other."""
    name = data.decode("utf-8", "replace")
    if not is_timezone(name):
        return
    day = dt.date(1990 + _choice(data, 1, 100), 1 + _choice(data, 2, 12), 1 + _choice(data, 3, 28))
    today, tomorrow = find_local_day(day, name), find_local_day(day + dt.timedelta(days=1), name)
    assert today.end == tomorrow.start
    assert 0 <= today.hours <= 48
    assert day in request_dates(day, name, "utc")
    moments = pl.Series([today.start], dtype=pl.Datetime("us", "UTC"))
    shown = pl.select(convert_to_wall_clock(pl.lit(moments), name)).item()
    assert abs(shown - today.start.replace(tzinfo=None)) <= dt.timedelta(hours=26)


# ---- files of users --------------------------------------------------------------------------------------------------


def _with_file(data: bytes, suffix: str, read: Callable[[Path], None]) -> None:
    """Read a file of these bytes; an error of ours is an answer too, as long as it says something."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"given{suffix}"
        path.write_bytes(data)
        try:
            read(path)
        except SunledgerError as error:
            _speaks(error)


def check_invoice(data: bytes) -> None:
    """An invoice: every line a plant, a month and an exact amount."""

    def read(path: Path) -> None:
        found = read_invoice(path, "EUR", TODAY)
        lines = found.lines
        assert lines.height
        assert (
            lines.null_count().select("line", "plant_id", "month", "amount_eur").sum_horizontal().item() == 0
        )
        assert lines["month"].max() <= TODAY  # type: ignore[operator]
        assert (lines["month"].dt.day() == 1).all()

    _with_file(data, ".csv", read)


def check_prices(data: bytes) -> None:
    """A price list: prices that price."""

    def read(path: Path) -> None:
        prices = load_prices(path)
        units = pl.DataFrame(
            {
                "month": [dt.date(2026, 10, 1)] * 2,
                "capacity_kw": [50.0, None],
                "capacity_class": ["20-99", None],
            },
            schema={"month": pl.Date, "capacity_kw": pl.Float64, "capacity_class": pl.String},
        )
        fees = prices.priced(units)["fee_eur"].drop_nulls()
        assert (fees >= 0).all()
        prices.invoicing.month_of(FETCHED)

    _with_file(data, ".toml", read)


def check_thresholds(data: bytes) -> None:
    """Thresholds of the quality rules: numbers."""

    def read(path: Path) -> None:
        limits = load_thresholds(path)
        assert all(math.isfinite(getattr(limits, name)) for name in limits.__dataclass_fields__)

    _with_file(data, ".toml", read)


def check_irradiation(data: bytes) -> None:
    """A file of irradiation, CSV or Parquet: rows within the bounds of nature, or an error."""

    def read(path: Path) -> None:
        rows = read_supplied_irradiation(load_settings(env_file=None, irradiation=path))
        assert rows.schema == IRRADIATION
        assert rows["w_per_m2"].is_between(0, 2_000).all()
        assert (rows["interval_end"] > rows["interval_start"]).all()

    _with_file(data, ".parquet" if data.startswith(b"PAR1") else ".csv", read)


def check_fleet_file(data: bytes) -> None:
    """A file that names plants, and what it makes of a list of them."""

    def read(path: Path) -> None:
        settings = load_settings(env_file=None, exclude_plants=f"@{path}", include_plants="")
        found = fleet_of(settings)
        plants = pl.DataFrame(
            {"plant_id": ["1", "2"], "name": ["Roof*", "\\E.+(["], "migrated_from": [None, "3"]},
            schema=dict.fromkeys(("plant_id", "name", "migrated_from"), pl.String),
        )
        assert set(found.excluded(plants)["plant_id"]) <= {"1", "2"}
        found.unknown(plants)

    _with_file(data, ".txt", read)


def check_settings_file(data: bytes) -> None:
    """A file `.env`."""
    _with_file(data, ".env", lambda path: _settle(load_settings(env_file=path)))


def check_settings(data: bytes) -> None:
    """Values of settings, a line each for one setting after another."""
    names = [name for name in Settings.model_fields if name != "home"]
    lines = data.decode("utf-8", "replace").replace("\0", "").split("\n")
    given = {names[(_choice(data, 1, len(names)) + n) % len(names)]: line for n, line in enumerate(lines[:4])}
    try:
        _settle(
            load_settings(
                env_file=None,
                **{name_variable(n) if n.startswith("sma_") else n: v for n, v in {}.items()},
                **given,
            )
        )
    except SunledgerError as error:
        _speaks(error)


def _settle(settings: Settings) -> None:
    """Use what commands use first."""
    fleet_of(settings)
    assert "secret" not in repr(settings.sma_client_secret)
    assert settings.first_day >= dt.date.min


# ---- files of the home -----------------------------------------------------------------------------------------------


def check_spool(data: bytes) -> None:
    """The record of requests: tries in the lake and lines that are kept, none lost, and nothing is read twice."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder) / "requests"
        spool.mkdir()
        (spool / "left.jsonl").write_bytes(data)
        lake = Lake(str(Path(folder) / "lake"), Path(folder) / "tmp")
        stored = RequestLog(spool).store(lake)
        lines = [line for line in data.replace(b"\0", b"").split(b"\n") if line]
        assert stored.unreadable <= len(lines)
        assert 0 < stored.tries + stored.unreadable <= len(lines) or not lines
        # What can't be read is kept as it is; what can is stored once.
        kept = b"".join(path.read_bytes() for path in stored.kept)
        assert sorted(kept.split(b"\n")[:-1]) == sorted(line for line in lines if line in kept.split(b"\n"))
        found = lake.scan(ApiRequests).collect()
        assert found.height == stored.tries
        _fits(ApiRequests, found.sort(storage(ApiRequests).key or found.columns), {}, unique=False)
        assert not list(spool.glob("*.jsonl"))
        again = RequestLog(spool).store(lake)
        assert (again.tries, again.unreadable) == (0, 0)


def check_days_file(data: bytes) -> None:
    """The days that a dead run left: days, and the file is gone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "left.days"
        path.write_bytes(data)
        with take_over_days(Path(folder)) as days:
            assert all(type(day) is dt.date for day in days)
        assert not path.exists()


def check_login(data: bytes) -> None:
    """A stored login: a login of texts and times with a zone, or an error that names the file."""
    with tempfile.TemporaryDirectory() as folder:
        store = LoginStore(Path(folder), "client", "https://auth.example")
        store.path.write_bytes(data)
        try:
            login = store.read()
        except SunledgerError as error:
            _speaks(error, store.path.name)
            return
        store.write(login)
        assert store.read() == login
        now = dt.datetime.now(dt.UTC)
        # What the program does with them first.
        assert all(
            at is None or at <= now or at > now
            for at in (login.access_until, login.logged_in_at, login.renewed_at)
        )


def check_consents(data: bytes) -> None:
    """The book of consents: rows of its table, or an error that names the file."""
    with tempfile.TemporaryDirectory() as folder:
        book = ConsentBook(Path(folder), "client", "https://consent.example")
        book.path.write_bytes(data)
        try:
            owners = book.owners()
        except SunledgerError as error:
            _speaks(error, book.path.name)
            return
        book.rows()
        now = dt.datetime.now(dt.UTC)
        assert all(owner.due_at() <= now or owner.due_at() > now for owner in owners.values())


def check_budget(data: bytes) -> None:
    """The file of the request budget."""
    unpack(data)


# ---- what is true of all ---------------------------------------------------------------------------------------------


def _fits(model: type[Table], rows: pl.DataFrame, part: dict[str, object], *, unique: bool = True) -> None:
    """The rows satisfy the model, and no two share the key where it has one."""
    validate(model, rows, part)
    if unique:
        sort(model, rows, part)


def _energies_are_of_the_powers(rows: pl.DataFrame, hours: float) -> None:
    """Each energy is finite and the power's over the row's own interval; no series has more hours than the day."""
    if "interval_start" not in rows.columns:
        return
    length = (pl.col("interval_end") - pl.col("interval_start")).dt.total_microseconds() / 3.6e9
    for name in [column.removesuffix("_kwh") for column in rows.columns if column.endswith("_kwh")]:
        if f"{name}_w" not in rows.columns:
            continue
        known = rows.drop_nulls(f"{name}_kwh").select(
            finite=pl.col(f"{name}_kwh").is_finite(),
            off=(pl.col(f"{name}_kwh") - pl.col(f"{name}_w") * length / 1000).abs(),
            allowed=pl.col(f"{name}_w").abs() * 1e-9 + 1e-9,
        )
        assert known.select((pl.col("finite") & (pl.col("off") <= pl.col("allowed"))).all()).item(), name
    series = [name for name in rows.columns if name in {"plant_id", "device_id", "input", "stack", "index"}]
    keys = [key for key in series if rows.schema[key] != pl.Null]
    most = rows.group_by(keys).agg(hours=length.sum())["hours"].max()
    assert most is None or float(most) <= hours + 1e-6  # type: ignore[arg-type]


def _pv_is_within_its_bound(rows: pl.DataFrame) -> None:
    most = rows["pv_generation_w"].max()
    limits = load_thresholds()
    times = max(limits.beyond_rated_times, limits.beyond_sun_times, limits.peak_per_ac_power)
    assert most is None or float(most) <= RATED_W * times * 1.5  # type: ignore[arg-type]


def _speaks(error: SunledgerError, name: str = "") -> None:
    """An error says something, and names the file."""
    assert len(str(error)) > 10
    assert name in str(error)


def _odd(found: pl.DataFrame) -> None:
    assert found.select("plant_id", "field", "reason").null_count().sum_horizontal().item() == 0


# ---- what is fed in --------------------------------------------------------------------------------------------------

_SET_FIELDS = sorted({field.api for source in SETS for field in source.set.fields})
_PLANT_KEYS = ("plantId", "name", "timezone", "installation", "location", "status")
_PLANT_LINES = (
    '{"plantId":"1","name":"A","timezone":"Europe/Berlin"}',
    '{"plantId":"62c3cffe-41ac-4f92-8899-06610ee07b05","timezone":"UTC","installation":{"peakPower":1e400}}',
)
_DEVICE_KEYS = tuple(sorted(inventory.DEVICE_FIELDS))
_LOG_KEYS = ("timestamp", "deviceId", "level", "messageTagId", "logId", "message", "occurrence", "counter")
_TRY = json.dumps(
    {
    "request_id": "a-1", "asked_at": 1_750_000_000_000_000, "plant_id": "1", "device_id": "",
    "endpoint": "plants",
        "set_type": "", "period": "", "request_date": "", "attempt": 1, "status": 200, "error": "", "bytes": 9,
        "elapsed_ms": 1.5,
    }
)  # fmt: skip
_ZONE_NAMES = (
    "Europe/Berlin",
    "UTC",
    "../etc/passwd",
    "/etc/localtime",
    "Europe",
    "posixrules",
    "tzdata.zi",
    "Etc/GMT+14",
    "",
)
_INVOICE_LINES = (
    "plant_id;month;capacity_class;fee_eur", "Anlagen-ID;Monat;Leistungsklasse (kWac);Betrag (EUR)",
    "Summe;;;124,29",
    "5000000;2026-01;20-99;16,50", "plant,month,amount", "5000000,2025-06,1.00",
)  # fmt: skip
_INVOICE_CELLS = (
    "5000000", "plant", "month", "fee_eur", "amount", "2025-06", "Okt 2025", "01.06.2025-30.06.2025", "16,50",
    "1.234,56",
    "1e9", "=1+1", "-0.00", "€ 5", "US$ 5", "20-99", "1000+", "'5000000", '="5000000"', "NaN",
    "99999999999999999999.99",
    "31.12.9999", "0001-01", "Live 200000", "total", '"', "٣",
)  # fmt: skip
_PRICE_LINES = (
    "[[prices]]", "valid_from = 2020-01-01", 'currency = "EUR"', 'base_period = "month"', 'per_kw_ac = "0.09"',
    "[prices.base]", '"1-19" = "12"', '"20-99" = "12"', '"100-499" = "15"', '"500-999" = "25"', '"1000+" = "65"',
    "[prices.live]", '200_000 = "100"', "[invoicing]", 'period = "year"', 'above = "1e5"',
    'month_timezone = "Europe/Berlin"',
    'per_kw_ac_period = "year"', "live_plan = 200000",
)  # fmt: skip
_PRICES = "\n".join(_PRICE_LINES[:11])
_TOML_CELLS = (
    "above", "per_kw_ac", "valid_from", "base", "0x1F", "nan", "-inf", "1e400", "2020-01-01T00:00:00Z",
    "9999-12-01", "[[a]]",
    '"NaN"', '"1e-11"', '"٣"', "{}", "[]", "true", "night_w", "standby_w", "20", "99999999999999999999",
    "live_plan", "-1",
)  # fmt: skip
_SUN_LINES = (
    "plant_id,interval_start,interval_end,w_per_m2", "plant_id,interval_start,interval_end,kwh_per_m2,source",
    "1,2025-07-09T10:00:00Z,2025-07-09T10:30:00Z,812.5", "1,2025-07-09T10:30:00+00:00,2025-07-09T11:00:00+00:00,0",
)  # fmt: skip
_SUN_CELLS = (
    "1", "2025-07-09T10:00:00Z", "2025-07-09 10:15:00+0200", "812", "nan", "inf", "-1", "1e400",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59+23:59", "w_per_m2", "plant_id", "source", "interval_start", "interval_end", '"',
    "2025-07-09",
)  # fmt: skip
_FLEET_LINES = ("5000000", "Roof*", "1 from 2026-10-15", "# no", "@other", "from 2026-01-01")
_FLEET_CELLS = (
    "from",
    "2026-10-15",
    "2026-W01",
    "*" * 40,
    "?",
    "(",
    "[a-z",
    "\\",
    "+",
    "é",
    "0001-01-01",
    "9999-12-31",
)
_ENV_LINES = tuple(f"{name_variable(name)}=" for name in Settings.model_fields)
_ENV_CELLS = (
    "SMA_AUTH_URL", "SUNLEDGER_LAKE", "https://a:b@c", "http://127.0.0.1:99999", "https://[::1", "s3://", "1e9",
    "NaN", "-1",
    "Infinity", "on", "off", "utc", "2015-01-01", "0001-01-01", "redis://x/y", "~", "~nobody/x", "a" * 300,
    "\x1b[31m",
    "smtp://", "${HOME}", "export", "'", '"', "*", "@/dev/null", "@/", "all", "EnergyBalance", "٣",
)  # fmt: skip
_LOGIN = json.dumps(
    {
    "refresh_token": "r", "access_token": "a", "access_until": "2025-07-09T10:00:00+00:00",
    "logged_in_at": None,
        "renewed_at": "2025-07-09T10:00:00", "offline": True, "seed": "", "secret": "",
    }
)  # fmt: skip
_BOOK = json.dumps(
    {
        "a@example.com": {
            "asked_at": "2025-07-09T10:00:00+00:00", "checked_at": None, "interval_s": 60.0,
            "changes": [["2025-07-09T10:00:00+00:00", "Pending", None]],
        }
    }
)  # fmt: skip
_HOME_CELLS = ("null", "NaN", "1e400", "9999-12-31T23:59:59", "{}", "[]", '"', "changes", "-1", "\\ud83d")


def _near(text: str) -> st.SearchStrategy[bytes]:
    """A known text with a word of it replaced, and bytes spoilt."""
    words = sorted({word for word in text.replace(",", " ").replace(":", " ").split() if word})
    swapped = st.builds(
        lambda old, new: text.replace(old, new, 1), st.sampled_from(words), st.sampled_from(_HOME_CELLS)
    )
    return inputs.spoilt(st.one_of(st.just(text), swapped).map(lambda t: t.encode("utf-8", "surrogatepass")))


def _listed(envelope: str, keys: Sequence[str], lines: Sequence[str] = ()) -> st.SearchStrategy[bytes]:
    known = st.lists(st.sampled_from([*lines, "{}"]), max_size=3)
    mixed = known.map(lambda found: f'{{"{envelope}":[{",".join(found)}]}}'.encode())
    return st.one_of(inputs.lists(envelope, keys), inputs.lists(envelope, keys), inputs.spoilt(mixed))


CHECKS: dict[str, tuple[Check, st.SearchStrategy[bytes]]] = {
    "measurements": (check_measurements, inputs.answers(_SET_FIELDS)),
    "other_sets": (check_other_sets, inputs.answers(["power", "state", "values"])),
    "acceptance": (check_acceptance, inputs.answers(["pvGeneration"])),
    "split": (check_split, inputs.answers(["pvGeneration"])),
    "logs": (
        check_logs,
        _listed("logs", _LOG_KEYS, [f'{{"timestamp":"{d}T10:00:00","level":"Info"}}' for d in inputs.DAYS]),
    ),
    "plants": (check_plants, _listed("plants", _PLANT_KEYS, _PLANT_LINES)),
    "devices": (
        check_devices,
        _listed("devices", _DEVICE_KEYS, ['{"deviceId":"7","name":"I","generatorPower":5}']),
    ),
    "set_lists": (check_set_lists, _listed("sets", ["a"], ['"EnergyBalance"', '"../x"', '""'])),
    "timezone": (check_timezone, inputs.texts(_ZONE_NAMES, ["Europe", "Berlin", "..", "Etc", "GMT"])),
    "invoice": (check_invoice, inputs.texts(_INVOICE_LINES, _INVOICE_CELLS)),
    "prices": (
        check_prices,
        st.one_of(
            _near(_PRICES), inputs.texts(_PRICE_LINES, _TOML_CELLS), inputs.texts([_PRICES], _TOML_CELLS)
        ),
    ),
    "thresholds": (check_thresholds, inputs.texts(["night_w = 20", "[a]", "standby_w = 1.5"], _TOML_CELLS)),
    "irradiation": (check_irradiation, inputs.texts(_SUN_LINES, _SUN_CELLS)),
    "fleet_file": (check_fleet_file, inputs.texts(_FLEET_LINES, _FLEET_CELLS)),
    "settings_file": (check_settings_file, inputs.texts(_ENV_LINES, _ENV_CELLS)),
    "settings": (check_settings, inputs.texts(_ENV_CELLS, _ENV_CELLS)),
    "spool": (check_spool, st.one_of(_near(_TRY), inputs.texts([_TRY], _HOME_CELLS))),
    "days_file": (check_days_file, inputs.texts(["2025-07-09", "2025-W28-3", "20250709"], _FLEET_CELLS)),
    "login": (check_login, _near(_LOGIN)),
    "consents": (check_consents, _near(_BOOK)),
    "budget": (check_budget, st.binary(max_size=100)),
}
