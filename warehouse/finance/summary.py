"""The month of the pack in a few figures, and the sentences that say how far one can rely on them."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeAlias

import duckdb

from pipeline.common.calendar_months import find_next_month
from warehouse.finance.labels import TERMS, BilingualText, Language, format_count
from warehouse.finance.sheets import DAY_COUNTS, ENERGIES, SHEETS, Selection, write_query
from warehouse.finance.words import MONTHS, SHEET_NAMES, VALUES
from warehouse.month_queries.published_units import record_begins

Value: TypeAlias = str | int | float | Decimal | dt.datetime | None

_SHEETS = {sheet.name: sheet for sheet in SHEETS}
_NO_RECORD = BilingualText(
    "PU and fees are unknown, because there is no record of requests.",
    "PU und Entgelte sind unbekannt, weil es keine Aufzeichnung der Anfragen gibt.",
)
_LATER_RECORD = BilingualText(
    "PU and fees are unknown, because the record of requests begins on {day}.",
    "PU und Entgelte sind unbekannt, weil die Aufzeichnung der Anfragen am {day} beginnt.",
)
_EARLIER_UNKNOWN = BilingualText(
    "The record of requests begins on {day}; earlier requests are unknown.",
    "Die Aufzeichnung der Anfragen beginnt am {day}; frühere Anfragen sind unbekannt.",
)
_NO_PU = BilingualText(
    "There are no PU, because no request named a system in this month.",
    "Es gibt keine PU, weil keine Anfrage dieses Monats ein System nennt.",
)
_COMPLETE = BilingualText(
    "The month is complete: every plant has every day.",
    "Der Monat ist vollständig: Jede Anlage hat jeden Tag.",
)
_RUNNING = BilingualText(
    "The month is not over: figures are of {held} of its {all} days.",
    "Der Monat ist nicht vorbei: Die Werte sind von {held} seiner {all} Tage.",
)
_INCOMPLETE = BilingualText(
    "The month is NOT COMPLETE: {complete} of {due} plant-days are complete, {not_fetched} were not fetched, {partial} "
    "have gaps, {missing} have no data, {provisional} may still change. Sums of energy lack what was not measured.",
    "Der Monat ist NICHT VOLLSTÄNDIG: {complete} von {due} Anlagentagen sind vollständig, {not_fetched} wurden nicht "
    "abgerufen, {partial} sind lückenhaft, {missing} ohne Daten, {provisional} können sich noch ändern. Den "
    "Energiesummen fehlt, was nicht gemessen wurde.",
)
_CHANGED = BilingualText(
    "The month was closed, and days have changed since: sums of energy are those of the closed month, while days and "
    "their coverage are as they are now. The differences are in the sheet {sheet}.",
    "Der Monat wurde abgeschlossen, und Tage haben sich seither geändert: Energiesummen sind die des abgeschlossenen "
    "Monats, Tage und ihre Abdeckung die von jetzt. Die Unterschiede stehen im Blatt {sheet}.",
)
_NO_ENERGY = BilingualText("There is no energy of this month.", "Es gibt keine Energie dieses Monats.")
_HELD = BilingualText(
    "Sum of {held} of {all} plants; the others have no value of it.",
    "Summe von {held} der {all} Anlagen; die übrigen haben keinen Wert dafür.",
)
_OPEN = BilingualText("open, figures may change", "offen, Werte können sich ändern")
_UNPRICED = BilingualText(
    "{count} of the PU have no price, so the sum is too low.",
    "{count} der PU haben keinen Preis, die Summe ist also zu niedrig.",
)
_ACCOUNT = BilingualText("of the whole account", "des ganzen Kontos")
_SO_FAR = BilingualText(
    "of the whole account, by the PU so far: the quarter is not over",
    "des ganzen Kontos, nach den bisherigen PU: Das Quartal ist nicht vorbei",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the summary: what it is, its value, and a remark. The kind of value is in `unit`, as kWh."""

    label: str
    value: Value
    unit: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """The month as text, sentences that a reader must know first, whether one of them warns, and the figures."""

    title: str
    notices: tuple[str, ...]
    warns: bool
    figures: tuple[Figure, ...]
    published: str
    version: str


def name_month(month: dt.date, language: Language) -> str:
    """The month in words, as October 2026."""
    return f"{MONTHS[month.month - 1].choose(language)} {month.year}"


def build_summary(
    connection: duckdb.DuckDBPyConnection, selection: Selection, language: Language, *, checked: bool
) -> Summary:
    """The summary of the month; `checked` says whether there is an invoice check."""
    days = _read_sums(connection, selection, "completeness", (*DAY_COUNTS, "covered_h", "expected_month_h"))
    ((n_plants, n_measured, closed_at),) = connection.execute(
        f"SELECT count(*), count(coalesce({', '.join(ENERGIES)})), max(closed_at) "  # noqa: S608
        f"FROM ({_query(connection, selection, 'energy-monthly')})"
    ).fetchall()
    ((published, version),) = connection.execute("SELECT published_at, product_version FROM _meta").fetchall()
    notices, warns = _explain_month(connection, selection, days, n_plants, language)
    pick = _Picker(language)
    open_remark = "" if closed_at else _OPEN.choose(language)
    figures = [
        pick(BilingualText("Plants", "Anlagen"), n_plants),
        pick(BilingualText("Plants with energy", "Anlagen mit Energie"), n_measured),
        *_list_energies(connection, selection, n_plants, language),
        pick(BilingualText("Closed", "Abgeschlossen"), closed_at, "UTC", open_remark),
        *_list_coverage(days, language),
        *_list_units(connection, selection, pick),
        *_list_invoice(connection, selection.month, pick),
        *_list_changes(connection, selection, pick),
        *(_list_check(connection, pick) if checked else ()),
        pick(BilingualText("Published", "Veröffentlicht"), published, "UTC"),
        pick(BilingualText("sunledger version", "Version von sunledger"), version),
    ]
    return Summary(
        name_month(selection.month, language),
        notices,
        warns,
        tuple(figures),
        f"{published:%Y-%m-%d %H:%M}",
        version,
    )


def _list_energies(
    connection: duckdb.DuckDBPyConnection, selection: Selection, n_plants: int, language: Language
) -> Iterator[Figure]:
    """The sum of each energy, with how many of the plants have it."""
    energy = _read_sums(connection, selection, "energy-monthly", ENERGIES)
    held = _read_sums(connection, selection, "energy-monthly", ENERGIES, "count")
    for name in ENERGIES:
        remark = _write_held(int(held[name] or 0), n_plants, language)
        yield replace(_name_term(name, energy[name], language), remark=remark)


def _list_coverage(days: Mapping[str, float | None], language: Language) -> Iterator[Figure]:
    """The plant-days by their state, the hours, and the share of them that is covered."""
    yield from (_name_term(name, int(days[name] or 0), language) for name in DAY_COUNTS)
    yield from (_name_term(name, days[name], language) for name in ("covered_h", "expected_month_h"))
    expected, term = days["expected_month_h"], TERMS["coverage_month"]
    coverage = min((days["covered_h"] or 0) / expected, 1.0) if expected else None
    yield Figure(term.heading.choose(language), coverage, "%", term.meaning.choose(language))


def _list_units(
    connection: duckdb.DuckDBPyConnection, selection: Selection, pick: "_Picker"
) -> Iterator[Figure]:
    """The PU of the month and their fees."""
    units = _read_units(connection, selection, pick.language)
    record, is_known = _explain_record(connection, selection.month, units.count, pick.language)
    yield pick(
        BilingualText("PU of the month", "PU des Monats"), units.count if is_known else None, remark=record
    )
    unpriced = _UNPRICED.choose(pick.language).format(count=units.unpriced) if units.unpriced else ""
    remark = " ".join(filter(None, [unpriced, units.source]))
    yield pick(BilingualText("Fees of the PU", "Entgelte der PU"), units.fees, units.currency, remark)


@dataclass(frozen=True, slots=True)
class _Picker:
    language: Language

    def __call__(self, label: BilingualText, value: Value, unit: str = "", remark: str = "") -> Figure:
        return Figure(label.choose(self.language), value, unit, remark)


@dataclass(frozen=True, slots=True)
class _Units:
    count: int
    fees: Decimal | None
    unpriced: int
    currency: str
    source: str


def _query(connection: duckdb.DuckDBPyConnection, selection: Selection, sheet: str) -> str:
    return write_query(connection, _SHEETS[sheet], selection)


def _read_sums(
    connection: duckdb.DuckDBPyConnection,
    selection: Selection,
    sheet: str,
    columns: tuple[str, ...],
    of: str = "sum",
) -> dict[str, float | None]:
    sums = ", ".join(f"{of}({name})" for name in columns)
    query = f"SELECT {sums} FROM ({_query(connection, selection, sheet)})"  # noqa: S608
    return dict(zip(columns, connection.execute(query).fetchall()[0], strict=True))


def _write_held(held: int, plants: int, language: Language) -> str:
    """Which part of the plants a sum is made of, where it is not all of them."""
    if held in (0, plants):
        return ""
    return _HELD.choose(language).format(
        held=format_count(held, language), all=format_count(plants, language)
    )


def _name_term(name: str, value: Value, language: Language) -> Figure:
    heading = TERMS[name].heading.choose(language)
    label, _, unit = heading.removesuffix(")").partition(" (")
    return Figure(label, value, unit)


def _read_units(connection: duckdb.DuckDBPyConnection, selection: Selection, language: Language) -> _Units:
    query = f"""
    SELECT count(*), sum(fee_eur), count(*) FILTER (WHERE fee_eur IS NULL), count(DISTINCT currency),
        any_value(currency), any_value(price_source)
    FROM ({_query(connection, selection, "billing-units")})
    """  # noqa: S608
    ((count, fees, unpriced, currencies, currency, source),) = connection.execute(query).fetchall()
    words = VALUES["price_source"].get(source or "")
    named = words.choose(language) if words else source or ""
    # Amounts of two currencies have no sum.
    return _Units(count, fees if currencies == 1 else None, unpriced, currency or "", named)


def _explain_month(
    connection: duckdb.DuckDBPyConnection,
    selection: Selection,
    days: dict[str, float | None],
    n_plants: int,
    language: Language,
) -> tuple[tuple[str, ...], bool]:
    due = int(days["n_days_due"] or 0)
    if not due and not n_plants:
        return (_NO_ENERGY.choose(language),), True
    counts = {
        name.removeprefix("n_days_"): format_count(int(value or 0), language)
        for name, value in days.items()
        if name in DAY_COUNTS
    }
    notices = []
    query = f"SELECT count(DISTINCT local_date) FROM ({_query(connection, selection, 'energy-daily')})"  # noqa: S608
    ((held,),) = connection.execute(query).fetchall()
    running = connection.execute(
        "SELECT CAST(? AS DATE) + INTERVAL 38 HOUR > timezone('UTC', published_at) FROM _meta",
        [selection.end],
    ).fetchall()[0][0]
    if running:
        notices.append(_RUNNING.choose(language).format(held=held, all=selection.end.day))
    ((adjusted,),) = connection.execute(
        f"SELECT count(*) FROM ({_query(connection, selection, 'adjustments')})"  # noqa: S608
    ).fetchall()
    if adjusted:
        notices.append(_CHANGED.choose(language).format(sheet=SHEET_NAMES["adjustments"].choose(language)))
    whole = int(days["n_days_complete"] or 0) == due
    if not whole:
        notices.append(_INCOMPLETE.choose(language).format(**counts))
    elif not running:
        notices.append(_COMPLETE.choose(language))
    return tuple(notices), running or not whole


def _list_invoice(connection: duckdb.DuckDBPyConnection, month: dt.date, pick: "_Picker") -> list[Figure]:
    query = """
    SELECT invoiced_eur, carried_out_eur, currency, is_closed FROM invoices WHERE year = ? AND quarter = ?
    """
    quarter = (month.month + 2) // 3
    found = connection.execute(query, [month.year, quarter]).fetchall()
    remarks = [(_ACCOUNT if is_closed else _SO_FAR).choose(pick.language) for *_, is_closed in found]
    return [
        figure
        for (invoiced, carried, currency, _), remark in zip(found, remarks, strict=True)
        for figure in (
            pick(
                BilingualText(
                    f"To be invoiced, quarter {quarter}", f"In Rechnung zu stellen, Quartal {quarter}"
                ),
                invoiced,
                currency,
                remark,
            ),
            pick(BilingualText("Carried over", "Übertrag"), carried, currency, remark),
        )
    ]


def _list_changes(
    connection: duckdb.DuckDBPyConnection, selection: Selection, pick: "_Picker"
) -> list[Figure]:
    of_pv = f"""
    SELECT sum(difference_kwh) FILTER (WHERE quantity = 'pv_generation')
    FROM ({_query(connection, selection, "adjustments")})
    """  # noqa: S608
    restated = f"SELECT count(*) FROM ({_query(connection, selection, 'restatements')})"  # noqa: S608
    ((adjusted,),) = connection.execute(of_pv).fetchall()
    ((count,),) = connection.execute(restated).fetchall()
    return [
        pick(BilingualText("Adjustment of PV generation", "Anpassung der PV-Erzeugung"), adjusted, "kWh"),
        pick(BilingualText("Restated figures", "Geänderte Werte"), count),
    ]


def _list_check(connection: duckdb.DuckDBPyConnection, pick: "_Picker") -> list[Figure]:
    query = """
    SELECT count(*) FILTER (WHERE kind <> 'agreed'), sum(difference_eur), any_value(currency) FROM _invoice_check
    """
    ((differing, amount, currency),) = connection.execute(query).fetchall()
    return [
        pick(BilingualText("Invoice lines that differ", "Abweichende Rechnungszeilen"), differing),
        pick(BilingualText("SMA's minus our amount", "Betrag von SMA minus unserer"), amount, currency or ""),
    ]


def _explain_record(
    connection: duckdb.DuckDBPyConnection, month: dt.date, units: int, language: Language
) -> tuple[str, bool]:
    """What the record of requests shows about the month's PU, and whether it can tell their number.

    PU that it lacks were not requested or are not known.
    """
    begins = record_begins(connection)
    if begins is None:
        return _NO_RECORD.choose(language), units > 0
    end = find_next_month(month)
    if begins >= end and not units:
        return _LATER_RECORD.choose(language).format(day=begins), False
    sentences = [] if units else [_NO_PU.choose(language)]
    if begins > month:
        sentences.append(_EARLIER_UNKNOWN.choose(language).format(day=begins))
    return " ".join(sentences), True
