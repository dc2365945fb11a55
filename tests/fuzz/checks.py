"""The checks, and what is fed into each.

Each check takes bytes and fails by an exception that is none of ours. The bytes decide everything, so that a finding
can be kept as a file.
"""

import json
from collections.abc import Sequence

from hypothesis import strategies as st

from pipeline.common.settings import Settings, name_variable
from pipeline.transform.lists import list_faults
from tests.fuzz import inputs
from tests.fuzz.answers import (
    check_acceptance,
    check_devices,
    check_logs,
    check_measurements,
    check_other_sets,
    check_plants,
    check_set_lists,
    check_split,
    check_timezone,
)
from tests.fuzz.home_files import check_budget, check_consents, check_days_file, check_login, check_spool
from tests.fuzz.properties import (
    SETS,
    Check,
)
from tests.fuzz.user_files import (
    check_fleet_file,
    check_invoice,
    check_irradiation,
    check_limits,
    check_prices,
    check_settings,
    check_settings_file,
    check_thresholds,
)

_SET_FIELDS = sorted({field.api for source in SETS for field in source.set.fields})
_PLANT_KEYS = ("plantId", "name", "timezone", "installation", "location", "status")
_PLANT_LINES = (
    '{"plantId":"1","name":"A","timezone":"Europe/Berlin"}',
    '{"plantId":"62c3cffe-41ac-4f92-8899-06610ee07b05","timezone":"UTC","installation":{"peakPower":1e400}}',
)
_DEVICE_KEYS = tuple(sorted(list_faults.DEVICE_FIELDS))
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
_LIMIT_LINES = (
    "plant_id,limit_start,limit_end,limit_kw", "plant_id,limit_start,limit_end,limit_percent,kind,asked_by,method",
    "1,2025-07-09T10:00:00Z,2025-07-09T10:30:00Z,8.5", "1,2025-07-09T11:00:00Z,,60,outage,static,spitz",
    "[[limit]]", 'plant_id = "1"', "limit_start = 2025-07-09T10:00:00Z", "limit_kw = 5",
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
    "limits": (check_limits, inputs.texts(_LIMIT_LINES, _SUN_CELLS)),
    "fleet_file": (check_fleet_file, inputs.texts(_FLEET_LINES, _FLEET_CELLS)),
    "settings_file": (check_settings_file, inputs.texts(_ENV_LINES, _ENV_CELLS)),
    "settings": (check_settings, inputs.texts(_ENV_CELLS, _ENV_CELLS)),
    "spool": (check_spool, st.one_of(_near(_TRY), inputs.texts([_TRY], _HOME_CELLS))),
    "days_file": (check_days_file, inputs.texts(["2025-07-09", "2025-W28-3", "20250709"], _FLEET_CELLS)),
    "login": (check_login, _near(_LOGIN)),
    "consents": (check_consents, _near(_BOOK)),
    "budget": (check_budget, st.binary(max_size=100)),
}
