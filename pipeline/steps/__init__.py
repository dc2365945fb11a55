"""The steps of the pipeline, one per table, without Dagster: what to ask, what to make of it, where it goes.

Each step does one day (or the whole of a list), reports what it did, and is safe to run again: equal data commits
nothing. Steps meet only in the lake. Nothing after the raw steps calls the API.
"""

from pipeline.steps.access import concern, refresh_consents
from pipeline.steps.base import BALANCE, PV, Report, SetSource, listed
from pipeline.steps.billing import price_list, write_billing_units, write_invoices
from pipeline.steps.closing import close_month, closed_months_hold, closed_overview, find_doubts, open_month
from pipeline.steps.concerns import concerns
from pipeline.steps.days import (
    intervals_as_read,
    judge_times,
    write_device_energy_daily,
    write_energy_daily,
    write_energy_monthly,
    write_intervals,
    write_log_messages,
    write_logs,
    write_other_intervals,
)
from pipeline.steps.fetching import (
    fetch_device_logs,
    fetch_devices,
    fetch_logs,
    fetch_measurement_sets,
    fetch_other_sets,
    fetch_plants,
    fetch_set,
)
from pipeline.steps.hours import write_energy_hourly, write_profile_monthly
from pipeline.steps.kpi import write_kpi_daily, write_kpi_monthly
from pipeline.steps.lists import write_devices, write_measurement_sets, write_plants
from pipeline.steps.pictures import day_pictures
from pipeline.steps.reconciling import reconciles, write_reconciliation, write_reconciliation_yearly
from pipeline.steps.sources import SETS, SOURCES, VALUES, check_sets, not_chosen
from pipeline.steps.standing import (
    ASK_AGAIN,
    asked_otherwise,
    standing,
    stored_answers,
    stored_days,
    unmade_days,
)
from pipeline.steps.vendor import (
    fetch_energy_months,
    fetch_energy_years,
    fetch_past_years,
    last_month,
    month_requests,
    year_requests,
)
from pipeline.steps.watching import budget, completeness, drift, freshness, published, quality, whole

__all__ = [
    "ASK_AGAIN",
    "BALANCE",
    "PV",
    "SETS",
    "SOURCES",
    "VALUES",
    "Report",
    "SetSource",
    "asked_otherwise",
    "budget",
    "check_sets",
    "close_month",
    "closed_months_hold",
    "closed_overview",
    "completeness",
    "concern",
    "concerns",
    "day_pictures",
    "drift",
    "fetch_device_logs",
    "fetch_devices",
    "fetch_energy_months",
    "fetch_energy_years",
    "fetch_logs",
    "fetch_measurement_sets",
    "fetch_other_sets",
    "fetch_past_years",
    "fetch_plants",
    "fetch_set",
    "find_doubts",
    "freshness",
    "intervals_as_read",
    "judge_times",
    "last_month",
    "listed",
    "month_requests",
    "not_chosen",
    "open_month",
    "price_list",
    "published",
    "quality",
    "reconciles",
    "refresh_consents",
    "standing",
    "stored_answers",
    "stored_days",
    "unmade_days",
    "whole",
    "write_billing_units",
    "write_device_energy_daily",
    "write_devices",
    "write_energy_daily",
    "write_energy_hourly",
    "write_energy_monthly",
    "write_intervals",
    "write_invoices",
    "write_kpi_daily",
    "write_kpi_monthly",
    "write_log_messages",
    "write_logs",
    "write_measurement_sets",
    "write_other_intervals",
    "write_plants",
    "write_profile_monthly",
    "write_reconciliation",
    "write_reconciliation_yearly",
    "year_requests",
]
