"""Alerts: told once by each channel, told again when it is good, never with a secret; and what concerns people."""

import dataclasses
import datetime as dt
import email
import json
from collections.abc import Callable, Iterator

import dagster as dg
import pytest
from pydantic import SecretStr

from pipeline import steps
from pipeline.alerts import AlertFailedError, Concern, Message, Told, channels, tell
from pipeline.instance import open_dagster
from pipeline.runtime import Runtime
from pipeline.sensors import alerts
from pipeline.settings import Settings
from tests.alerts.receivers import MailServer, WebServer, listening
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
        "Good again: days failed",
        "Good again: Days are missing",
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
    _, faults = tell({}, [odd], channels(settings_with(settings, mail, web)))
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


def test_a_fault_of_a_channel_tells_no_address(settings: Settings, mail: MailServer, web: WebServer) -> None:
    web.status = 403
    _, faults = tell({}, [LATE], channels(settings_with(settings, mail, web)))
    assert faults == [
        "webhook: The webhook answered 403: check its address.",
        "slack: The webhook answered 403: check its address.",
    ]
    gone = settings.model_copy(update={"alert_smtp": SecretStr("smtp://user:the-word@127.0.0.1:9")})
    _, faults = tell({}, [LATE], channels(gone))
    assert faults == ["mail: The mail server did not take it (ConnectionRefusedError)."]
    assert "the-token" not in repr(settings_with(settings, mail, web))


def test_the_sensor_remembers_what_it_told_and_tells_of_failed_jobs(
    settings: Settings, new_runtime: Callable[..., Runtime], web: WebServer
) -> None:
    settings = settings.model_copy(update={"alert_webhook": SecretStr(web.url("/hook"))})
    sensor = alerts(settings, jobs=["energy_days"])

    def add(status: dg.DagsterRunStatus) -> None:
        instance.add_run(dg.DagsterRun(job_name="energy_days", status=status))

    def look(cursor: str | None) -> str | None:
        with (
            new_runtime() as runtime,
            dg.build_sensor_context(
                instance=instance, cursor=cursor, resources={"runtime": runtime}
            ) as context,
        ):
            return sensor.evaluate_tick(context).cursor

    with open_dagster(settings) as instance:
        cursor = look(None)
        add(dg.DagsterRunStatus.FAILURE)
        cursor = look(look(cursor))
        add(dg.DagsterRunStatus.SUCCESS)
        look(look(cursor))
    assert web.titles("/hook") == ["energy_days failed", "Good again: energy_days failed"]
    assert "the-secret" not in json.dumps(web.bodies)


def test_plants_that_come_and_go_late_days_and_access_concern_people(
    new_runtime: Callable[..., Runtime], sma: ScriptedSma
) -> None:
    def refresh(runtime: Runtime) -> None:
        steps.fetch_plants(runtime)
        steps.write_plants(runtime)
        steps.fetch_devices(runtime)
        steps.write_devices(runtime)
        steps.fetch_measurement_sets(runtime)
        steps.write_measurement_sets(runtime)

    def names(runtime: Runtime) -> set[str]:
        return {concern.name.rpartition(":")[0] or concern.name for concern in steps.concerns(runtime)}

    assert steps.concerns(new_runtime()) == []
    refresh(new_runtime())
    # Nothing is fetched yet, so days are late and there is no new data; the first plants are no news.
    assert names(new_runtime()) == {"late", "stale"}
    later = dataclasses.replace(new_runtime(), now=lambda: NOW + dt.timedelta(days=1))
    sma.lists = ["11", "13"]
    refresh(later)
    assert names(later) == {"late", "stale", "gone", "event:new-plants"}
    told = {concern.name: concern for concern in steps.concerns(later)}
    assert told["gone:12"].title == "Plant 12 (Plant 12) is gone"
    assert "SMA lists it no more" in told["gone:12"].text
