"""Alerts: told once by each channel, told again when it is good, never with a secret; and what concerns people."""

import dataclasses
import datetime as dt
import email
import json
import logging
from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from pydantic import SecretStr

from assets.home_setup.dagster_home import open_dagster
from assets.prefix import RUNTIME
from assets.sensors import build_alert_sensor
from bench.lists import refresh_lists
from pipeline.billing.prices import PUBLISHED
from pipeline.common.settings import Settings
from pipeline.extract.fetch import fetch_plants
from pipeline.ops import alert_conditions, alerts
from pipeline.ops.alerts import AlertFailedError, Concern, Message, Told, build_channels, read_told, tell
from pipeline.run.context import RunContext
from pipeline.tables.inventory_tables import write_plants
from schemas import BillingUnits, Consents, polars_schema, storage
from tests.ops.alerts.receivers import MailServer, WebServer, listening
from tests.scripted import NOW, ScriptedSma

FAILED = Concern("run:days", "days failed", "Open it.")
LATE = Concern("late", "Days are missing", "Run a backfill.")
NEW = Concern("event:new-plants:ab", "2 new plants", "They are fetched.")


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    with listening(server):
        yield server


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    with listening(server):
        yield server


def kept(messages: list[Message]) -> Callable[[Message], None]:
    return messages.append


def test_a_concern_is_told_once_and_once_when_it_is_good_again() -> None:
    heard: list[Message] = []
    told: Told = {}
    for concerns in ([FAILED], [FAILED, LATE], [FAILED, LATE], [LATE], [LATE], [], []):
        told, faults = tell(told, concerns, {"mail": kept(heard)})
        assert faults == []
    assert [message.title for message in heard] == [
        "days failed",
        "Days are missing",
        "Resolved: days failed",
        "Resolved: Days are missing",
    ]
    assert [message.resolved for message in heard] == [False, False, True, True]


def test_an_event_is_never_good_again_and_never_told_twice() -> None:
    heard: list[Message] = []
    told: Told = {}
    for concerns in ([NEW], [NEW], [], []):
        told, _ = tell(told, concerns, {"mail": kept(heard)})
    assert [message.title for message in heard] == ["2 new plants"]
    assert told == {"mail": {}}


def test_a_channel_that_fails_is_told_again_and_the_other_is_not() -> None:
    heard: dict[str, list[Message]] = {"mail": [], "slack": []}

    def broken(_: Message) -> None:
        raise AlertFailedError("The webhook answered 500.")

    told, faults = tell({}, [FAILED], {"mail": kept(heard["mail"]), "slack": broken})
    assert faults == ["slack: The webhook answered 500."]
    told, faults = tell(told, [FAILED], {"mail": kept(heard["mail"]), "slack": kept(heard["slack"])})
    assert [len(messages) for messages in heard.values()] == [1, 1]
    assert faults == []


def settings_with(settings: Settings, mail: MailServer, web: WebServer) -> Settings:
    return settings.model_copy(
        update={
            "alert_smtp": SecretStr(mail.url),
            "alert_mail_from": "sunledger@example.org",
            "alert_mail_to": "ops@example.org, boss@example.org",
            "alert_webhook": SecretStr(web.url("/hook?token=the-token")),
            "alert_slack": SecretStr(web.url("/slack")),
        }
    )


def test_mail_webhook_and_slack_carry_the_same(settings: Settings, mail: MailServer, web: WebServer) -> None:
    odd = Concern("x", "Plant <@channel> & more", "Look: ümlaut.")
    _, faults = tell({}, [odd], build_channels(settings_with(settings, mail, web)))
    assert faults == []
    letter = email.message_from_bytes(mail.mails[0].encode())
    assert letter["Subject"] == "[sunledger] Plant <@channel> & more"
    assert letter["To"] == "ops@example.org, boss@example.org"
    assert letter.get_payload(decode=True).decode().strip() == "Look: ümlaut."  # type: ignore[union-attr]
    bodies = dict(web.bodies)
    assert bodies["/hook?token=the-token"] == {
        "title": "Plant <@channel> & more",
        "text": "Look: ümlaut.",
        "resolved": False,
    }
    assert bodies["/slack"]["text"] == ":warning: *Plant &lt;@channel&gt; &amp; more*\nLook: ümlaut."


def test_a_name_of_two_lines_stops_no_alert(settings: Settings, mail: MailServer, web: WebServer) -> None:
    """A subject of a mail can't have two, and the fault ended each look of the sensor, with all alerts after it."""
    odd = Concern("x", "Plant 7 (Roof\nnorth\r) is gone", "Look.")
    told, faults = tell({}, [odd, LATE], build_channels(settings_with(settings, mail, web)))
    assert faults == []
    assert [len(of_channel) for of_channel in told.values()] == [2, 2, 2]
    letters = [email.message_from_bytes(one.encode()) for one in mail.mails]
    assert "[sunledger] Plant 7 (Roof\\nnorth\\r) is gone" in [letter["Subject"] for letter in letters]


def test_a_channel_that_never_finishes_its_answer_is_given_up(
    settings: Settings, mail: MailServer, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece of an answer came within the time limit, and the sensor waited for the rest without end."""
    monkeypatch.setattr(alerts, "TIMEOUT_S", 0.3)
    web.trickles = mail.trickles = True
    try:
        _, faults = tell({}, [LATE], build_channels(settings_with(settings, mail, web)))
    finally:
        web.trickles = mail.trickles = False
    assert faults == [
        "mail: The mail server did not accept the alert (TimeoutError): check SUNLEDGER_ALERT_….",
        "webhook: The webhook can't be reached (TimeoutError): check its address and the network.",
        "slack: The webhook can't be reached (TimeoutError): check its address and the network.",
    ]


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("alert_smtp", "smtp://u:the-word@127.0.0.1:abc"),
        ("alert_smtp", f"smtp://u:the-word@{'a' * 70}.example"),
        ("alert_webhook", "http://127.0.0.1:99999/the-word"),
        ("alert_webhook", "http://xn--/the-word"),
    ],
)
def test_an_address_that_none_can_be_stops_no_other_channel(
    settings: Settings, mail: MailServer, web: WebServer, setting: str, address: str
) -> None:
    """The fault ended each look of the sensor, so that nobody heard of anything."""
    chosen = settings_with(settings, mail, web).model_copy(update={setting: SecretStr(address)})
    told, faults = tell({}, [LATE], build_channels(chosen))
    assert [bool(of_channel) for of_channel in told.values()].count(True) == 2
    (fault,) = faults
    assert "check" in fault
    assert "the-word" not in fault


def test_a_fault_of_a_channel_tells_no_address(settings: Settings, mail: MailServer, web: WebServer) -> None:
    web.status = 403
    _, faults = tell({}, [LATE], build_channels(settings_with(settings, mail, web)))
    assert faults == [
        "webhook: The webhook answered 403: check its address.",
        "slack: The webhook answered 403: check its address.",
    ]
    gone = settings.model_copy(update={"alert_smtp": SecretStr("smtp://user:the-word@127.0.0.1:9")})
    _, faults = tell({}, [LATE], build_channels(gone))
    assert faults == [
        "mail: The mail server did not accept the alert (ConnectionRefusedError): check SUNLEDGER_ALERT_…."
    ]
    assert "the-token" not in repr(settings_with(settings, mail, web))


def test_no_log_of_requests_holds_the_address_of_a_webhook(
    settings: Settings, mail: MailServer, web: WebServer, caplog: pytest.LogCaptureFixture
) -> None:
    before = list(logging.getLogger("httpx").filters)
    with caplog.at_level(logging.DEBUG):
        tell({}, [LATE], build_channels(settings_with(settings, mail, web)))
    assert [record.getMessage() for record in caplog.records if record.name == "httpx"] == [
        'HTTP Request: POST [webhook] "HTTP/1.0 200 OK"'
    ] * 2
    assert "the-token" not in caplog.text
    assert logging.getLogger("httpx").filters == before


def test_the_sensor_remembers_what_it_told_and_tells_of_failed_jobs(
    settings: Settings, new_runtime: Callable[..., RunContext], web: WebServer
) -> None:
    settings = settings.model_copy(update={"alert_webhook": SecretStr(web.url("/hook"))})
    sensor = build_alert_sensor(settings, jobs=["energy_days"])

    def add(status: dg.DagsterRunStatus) -> None:
        instance.add_run(dg.DagsterRun(job_name="energy_days", status=status))

    def look(cursor: str | None) -> str | None:
        with (
            new_runtime() as runtime,
            dg.build_sensor_context(
                instance=instance, cursor=cursor, resources={RUNTIME: runtime}
            ) as context,
        ):
            return sensor.evaluate_tick(context).cursor

    with open_dagster(settings) as instance:
        cursor = look("written by a person")
        add(dg.DagsterRunStatus.FAILURE)
        cursor = look(look(cursor))
        add(dg.DagsterRunStatus.SUCCESS)
        look(look(cursor))
    assert web.titles("/hook") == ["energy_days failed", "Resolved: energy_days failed"]
    assert "the-secret" not in json.dumps(web.bodies)


@pytest.mark.parametrize("text", ["garbage", "[]", "1", '{"webhook": 1}', '{"webhook": {"late": null}}'])
def test_a_cursor_that_somebody_else_has_written_says_nothing(text: str) -> None:
    assert tell(read_told(text), [], {"webhook": lambda _: None}) == ({"webhook": {}}, [])


def test_plants_that_come_and_go_late_days_and_access_concern_people(
    new_runtime: Callable[..., RunContext], sma: ScriptedSma
) -> None:
    def names(runtime: RunContext) -> set[str]:
        return {
            concern.name.rpartition(":")[0] or concern.name
            for concern in alert_conditions.collect_concerns(runtime)
        }

    assert alert_conditions.collect_concerns(new_runtime()) == []
    refresh_lists(new_runtime())
    # Nothing is fetched yet, so days are late and there is no new data; the first plants are no news.
    assert names(new_runtime()) == {"late", "stale"}
    later = dataclasses.replace(new_runtime(), now=lambda: NOW + dt.timedelta(days=1))
    sma.lists = ["11", "13"]
    refresh_lists(later)
    assert names(later) == {"late", "stale", "gone", "event:new-plants"}
    told = {concern.name: concern for concern in alert_conditions.collect_concerns(later)}
    assert told["gone:12"].title == "Plant 12 (Plant 12) is gone"
    assert "SMA no longer lists it" in told["gone:12"].text


def test_credentials_that_cant_be_read_are_a_concern(
    settings: Settings, sma: ScriptedSma, tmp_path: Path
) -> None:
    file = tmp_path / "credentials.toml"
    file.write_text("[[credential]\nclient_secret = 'hush'")
    file.chmod(0o600)
    several = settings.model_copy(update={"sma_credentials": file})
    runtime = RunContext(several, make_session=lambda _: sma)  # type: ignore[arg-type,return-value]
    (concern,) = alert_conditions.collect_concerns(runtime)
    assert concern.name == "credentials"
    assert f"SMA_CREDENTIALS={file} is not TOML" in concern.text
    assert "hush" not in concern.text


def test_a_consent_that_changed_is_told_once_as_what_it_became(
    new_runtime: Callable[..., RunContext],
) -> None:
    runtime = new_runtime()
    fetch_plants(runtime)
    write_plants(runtime)
    rows = [
        ("client", "owner-a", NOW - dt.timedelta(days=2), "Pending", None, None),
        ("client", "owner-a", NOW - dt.timedelta(hours=3), "Accepted", "Pending", None),
        ("client", "owner-b", NOW - dt.timedelta(days=9), "Revoked", "Accepted", None),
    ]
    frame = pl.DataFrame(rows, schema=polars_schema(Consents), orient="row")
    runtime.lake.replace(Consents, {}, [frame.sort(storage(Consents).key)])
    told = [c for c in alert_conditions.collect_concerns(runtime) if c.name.startswith("event:consent")]
    # The first one seen is no change, and nobody needs to be told of one that is older than some days.
    assert [(c.title, c.text) for c in told] == [
        (
            "A consent is Accepted",
            (
                "The consent of owner owner-a changed from Pending to Accepted. "
                "'sunledger consent list' shows whose consent it is."
            ),
        )
    ]


@pytest.mark.parametrize(("limit", "told"), [(None, False), (20, False), (19, True)])
def test_more_money_than_expected_is_told(
    new_runtime: Callable[..., RunContext], limit: int | None, *, told: bool
) -> None:
    runtime = new_runtime()
    fetch_plants(runtime)
    write_plants(runtime)
    runtime.settings = runtime.settings.model_copy(update={"alert_eur": limit})
    month = NOW.date().replace(day=1)
    fees = [billed("11", month, "12.50"), billed("12", month, "7.00")]
    last = (month - dt.timedelta(days=1)).replace(day=1)
    for of in (month, last):
        rows = [fee | {"month": of} for fee in fees]
        frame = pl.DataFrame(rows, schema=polars_schema(BillingUnits))
        runtime.lake.replace(BillingUnits, {"month": of}, [frame])
    found = {c.name: c.text for c in alert_conditions.collect_concerns(runtime) if c.name.startswith("money")}
    assert bool(found) == told
    if told:
        assert (
            "The PU of 2021-10 cost 19.50 EUR so far, more than SUNLEDGER_ALERT_EUR=19"
            in found[f"money:{month}"]
        )


def test_money_is_that_of_the_month_of_the_price_list(
    new_runtime: Callable[..., RunContext], tmp_path: Path
) -> None:
    prices = tmp_path / "prices.toml"
    published = files("pipeline.billing").joinpath(PUBLISHED).read_text()
    prices.write_text(published.replace('"UTC"', '"America/New_York"'))
    runtime = new_runtime()
    fetch_plants(runtime)
    write_plants(runtime)
    runtime.settings = runtime.settings.model_copy(update={"alert_eur": 1, "prices": prices})
    # It is the first of November by UTC.
    runtime.now = lambda: dt.datetime(2021, 11, 1, 2, tzinfo=dt.UTC)
    month = dt.date(2021, 10, 1)
    frame = pl.DataFrame([billed("11", month, "12.50")], schema=polars_schema(BillingUnits))
    runtime.lake.replace(BillingUnits, {"month": month}, [frame])
    assert f"money:{month}" in {c.name for c in alert_conditions.collect_concerns(runtime)}


def billed(plant: str, month: dt.date, fee: str) -> dict[str, object]:
    """A row of billing_units with a fee."""
    empty = dict.fromkeys(polars_schema(BillingUnits).names())
    return empty | {
        "plant_id": plant,
        "month": month,
        "capacity_kw": 5.0,
        "capacity_class": "1-19",
        "n_requests": 3,
        "n_device_requests": 0,
        "first_request": NOW,
        "last_request": NOW,
        "base_eur": Decimal(fee),
        "capacity_eur": Decimal("0.00"),
        "fee_eur": Decimal(fee),
        "currency": "EUR",
        "pricing": "priced",
        "price_valid_from": month,
        "price_source": "test",
    }
