"""What the reasons and causes on a page mean, for whoever has the page and not the documentation."""

from collections.abc import Iterable, Mapping, Sequence

# Of the table quarantine; docs/quality.md says more, and what to do.
SET_ASIDE = {
    "request_failed": "SMA gave no usable answer; what was stored before is kept",
    "empty_now": "SMA's answer had no rows, but rows are stored; these are kept",
    "not_listed": "SMA's answer had no rows, and SMA no longer lists the plant; the stored rows are kept",
    "not_utf8": "the answer can't be read",
    "not_json": "the answer can't be read: it is truncated, or an error page",
    "wrong_shape": "the answer has another form than SMA documents",
    "too_large": "the answer has more rows, fields or levels than any of SMA's has",
    "unreadable_time": "the row's time can't be read",
    "no_such_local_time": "the row's time lies in the hour that the spring change of clocks skips",
    "foreign_day": "the row belongs to another day than the requested one",
    "day_before": "the row at midnight that closes the day before, whose own answer has it too",
    "future": "the row's time is after the request",
    "duplicate": "a second row of the same time; the first is kept",
    "unlisted": "a plant or device that no list has named",
    "unknown_resolution": "the rows declare a resolution that is not known, and are too few to show their step",
    "unknown_timezone": "the plant's time zone is not known, so it has no days",
    "not_a_number": "the value is not a number",
    "negative": "a negative power where it must not be negative",
    "beyond_rated": "power far beyond the rated power: typically the energy of an outage in one row",
    "beyond_fleet": "no rated power is known, and PV power is far beyond the fleet's and the series' own",
    "beyond_sun": "PV power far beyond what a clear sky gives: typically the energy of an outage in one row",
    "sentinel": "a number that devices send instead of a missing value",
    "in_and_out": "far more power than the plant has flows in and out at the same time, without a source",
    "beyond_balance": "power far beyond the plant's size, which the rest of its row contradicts",
    "beyond_series": "power far beyond the plant's size and the rest of its day",
    "standby": "the consumption of a sleeping inverter, sent as negative generation: it counts as 0",
    "broken_text": "a name with half a character in it",
    "broken_entry": "a part of a list that is not JSON, or an entry without a usable id",
    "doubled_key": "a name that an entry of a list has twice; the first value counts",
    "no_index": "a value without its input or stack",
    "out_of_range": "a value that no device has",
    "night": "PV power while the sun is down",
    "out_of_step": "much of the day's PV energy is measured at night: the times are wrong, not the values",
    "frozen": "the same PV power for hours",
    "unsorted": "the rows were not in the order of their times",
    "unordered_hour": "the rows of the repeated hour in autumn were not in order",
    "generation_identity": "generation is not self-consumption and feed-in together",
    "consumption_identity": "consumption is not self-supply and grid consumption together",
    "inverters_sum": "the inverters' energies don't add up to the plant's",
    "no_generation": "no PV power all day though the sun was high",
}

# Of the table restatements, where they may be joined.
CAUSES = {
    "answer_changed": "SMA answers differently for the day",
    "first_answer": "the plant had no answer for the day before: late data, or a request that had failed",
    "time_basis_changed": "the setting of the time basis has changed",
    "merged_hour_changed": "the setting for the hour that the autumn change of clocks repeats is another one",
    "thresholds_changed": "the thresholds of the quality rules are other ones",
    "plant_data_changed": "the plant's power, place or time zone is another one",
    "version_changed": "another version of sunledger made the figure",
    "plant_moved": "the plant got a new id, and its two ids became one",
    "unknown": "the answers of the old figure are no longer stored",
}
CAUSES_JOINED_BY = "+"

# Of the table reconciliation.
DIFFERENCES = {
    "none": "there is no difference",
    "rounding": "the difference is within the tolerance",
    "gap": "rows are missing and SMA has more: its meter bridged the gap",
    "spike": "a value was set aside as impossible",
    "hole_carried_over": "the day before or after differs as much the other way, and one of the two has a gap",
    "not_measured": "nothing was measured, and SMA has a figure",
    "no_vendor_value": "SMA has no figure",
    "unexplained": "the reason is unknown: check this figure",
}


def name_reason(reason: str) -> str:
    """A reason as it is written on a page."""
    return reason.replace("_", " ")


def explain_reasons(found: Iterable[str], meanings: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """The reasons that were found, once each, with what they mean."""
    return [(name_reason(reason), meanings[reason]) for reason in sorted(set(found)) if reason in meanings]
