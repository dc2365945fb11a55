"""The headings of the pack for finance in each language, with their units and meanings."""

from typing import Final, Literal, NamedTuple, TypeAlias

Language: TypeAlias = Literal["en", "de"]


class BilingualText(NamedTuple):
    """A text in each language; the fields are the values of SUNLEDGER_LANGUAGE."""

    en: str
    de: str

    def choose(self, language: Language) -> str:
        """The text in that language."""
        return self.de if language == "de" else self.en


def format_count(count: int, language: Language) -> str:
    """A whole number with the thousands separator of the language."""
    return f"{count:,}".replace(",", "." if language == "de" else ",")


class Term(NamedTuple):
    """A heading and what it means. `{currency}` in it is the currency of the sheet's amounts."""

    heading: BilingualText
    meaning: BilingualText


def _term(en: str, de: str, meaning_en: str, meaning_de: str) -> Term:
    return Term(BilingualText(en, de), BilingualText(meaning_en, meaning_de))


TERMS: Final = {
    "plant_name": _term(
        "Plant",
        "Anlage",
        "Name that the owner gave the plant.",
        "Name, den der Betreiber der Anlage gegeben hat.",
    ),
    "plant_id": _term("Plant id", "Anlagen-ID", "SMA's id of the plant.", "Kennung der Anlage bei SMA."),
    "plant_group": _term(
        "Group",
        "Gruppe",
        "Group by your file of plant attributes.",
        "Gruppe nach Ihrer Datei der Anlagenmerkmale.",
    ),
    "month": _term("Month", "Monat", "Calendar month.", "Kalendermonat."),
    "local_date": _term(
        "Day", "Tag", "Calendar day in the plant's time zone.", "Kalendertag in der Zeitzone der Anlage."
    ),
    "year": _term("Year", "Jahr", "Calendar year.", "Kalenderjahr."),
    "quarter": _term("Quarter", "Quartal", "Quarter of the year, 1 to 4.", "Quartal des Jahres, 1 bis 4."),
    "pv_generation_kwh": _term(
        "PV generation (kWh)",
        "PV-Erzeugung (kWh)",
        "Energy that the modules generated, from measured power.",
        "Energie, die die Module erzeugt haben, aus gemessener Leistung.",
    ),
    "self_consumption_kwh": _term(
        "Self-consumption (kWh)",
        "Eigenverbrauch (kWh)",
        "Own generation that was used on site.",
        "Eigene Erzeugung, die vor Ort verbraucht wurde.",
    ),
    "grid_feed_in_kwh": _term(
        "Grid feed-in (kWh)",
        "Netzeinspeisung (kWh)",
        "Energy fed into the grid.",
        "Ins Netz eingespeiste Energie.",
    ),
    "grid_consumption_kwh": _term(
        "Grid consumption (kWh)",
        "Netzbezug (kWh)",
        "Energy drawn from the grid.",
        "Aus dem Netz bezogene Energie.",
    ),
    "total_consumption_kwh": _term(
        "Total consumption (kWh)",
        "Gesamtverbrauch (kWh)",
        "All energy that was used on site.",
        "Alle Energie, die vor Ort verbraucht wurde.",
    ),
    "battery_charging_kwh": _term(
        "Battery charging (kWh)",
        "Batterieladung (kWh)",
        "Energy into the battery.",
        "In die Batterie geladene Energie.",
    ),
    "battery_discharging_kwh": _term(
        "Battery discharging (kWh)",
        "Batterieentladung (kWh)",
        "Energy out of the battery.",
        "Aus der Batterie entladene Energie.",
    ),
    "expected_kwh": _term(
        "Expected PV generation (kWh)",
        "Erwartete PV-Erzeugung (kWh)",
        "What you expect of a whole month by your file of plant attributes.",
        "Ihre Erwartung an einen ganzen Monat nach Ihrer Datei der Anlagenmerkmale.",
    ),
    "coverage": _term(
        "Coverage of stored days",
        "Abdeckung der gespeicherten Tage",
        "Share of the expected time of the stored days for which there are measured values.",
        "Anteil der erwarteten Zeit der gespeicherten Tage, für den Messwerte vorliegen.",
    ),
    "status": _term(
        "Status",
        "Status",
        "complete; partial: values are missing; missing: no value at all; provisional: may still change.",
        "vollständig; lückenhaft: Werte fehlen; ohne Daten: gar kein Wert; vorläufig: kann sich noch ändern.",
    ),
    "closed_at": _term(
        "Closed (UTC)",
        "Abgeschlossen (UTC)",
        "When the month was closed. Its figures stay; later changes are adjustments. Empty: open.",
        "Wann der Monat abgeschlossen wurde. Seine Werte bleiben; spätere Änderungen sind Anpassungen. Leer: offen.",
    ),
    "n_days_due": _term(
        "Days of the month",
        "Tage des Monats",
        "Days of the month that are over, on which the plant was yours and in operation.",
        "Vergangene Tage des Monats, an denen die Anlage Ihre und in Betrieb war.",
    ),
    "n_days_stored": _term(
        "Stored days",
        "Gespeicherte Tage",
        "Days that the warehouse holds.",
        "Tage, die das Warehouse enthält.",
    ),
    "n_days_not_fetched": _term(
        "Days not fetched",
        "Nicht abgerufene Tage",
        "Days that the warehouse does not hold; 'sunledger backfill' fetches them.",
        "Tage, die das Warehouse nicht enthält; 'sunledger backfill' ruft sie ab.",
    ),
    "n_days_complete": _term(
        "Complete days",
        "Vollständige Tage",
        "Stored days without a data gap.",
        "Gespeicherte Tage ohne Datenlücke.",
    ),
    "n_days_partial": _term(
        "Days with gaps",
        "Lückenhafte Tage",
        "Stored days with data gaps.",
        "Gespeicherte Tage mit Datenlücken.",
    ),
    "n_days_missing": _term(
        "Days without data",
        "Tage ohne Daten",
        "Stored days for which SMA sent no value.",
        "Gespeicherte Tage, zu denen SMA keinen Wert geliefert hat.",
    ),
    "n_days_provisional": _term(
        "Provisional days",
        "Vorläufige Tage",
        "Stored days that may still change.",
        "Gespeicherte Tage, die sich noch ändern können.",
    ),
    "covered_h": _term(
        "Covered time (h)",
        "Abgedeckte Zeit (h)",
        "Hours for which there are measured values.",
        "Stunden, für die Messwerte vorliegen.",
    ),
    "expected_month_h": _term(
        "Expected time of the month (h)",
        "Erwartete Zeit des Monats (h)",
        "Hours for which values are expected: those of stored days, and for each day that is not stored their mean, or "
        "24 h where no day is stored.",
        "Stunden, für die Werte erwartet werden: die der gespeicherten Tage, und für jeden nicht gespeicherten Tag "
        "deren Mittel, oder 24 h, wo kein Tag gespeichert ist.",
    ),
    "coverage_month": _term(
        "Coverage of the month",
        "Abdeckung des Monats",
        "Covered time divided by the expected time of the month, so that days that are not stored count as missing.",
        "Abgedeckte Zeit durch erwartete Zeit des Monats, so dass nicht gespeicherte Tage als fehlend zählen.",
    ),
    "largest_gap_min": _term(
        "Largest gap (min)",
        "Größte Lücke (min)",
        "Longest expected time without a value within a stored day.",
        "Längste erwartete Zeit ohne Wert innerhalb eines gespeicherten Tages.",
    ),
    "capacity_kw": _term(
        "AC power (kW)",
        "AC-Leistung (kW)",
        "AC power by which SMA prices the PU.",
        "AC-Leistung, nach der SMA die PU bepreist.",
    ),
    "capacity_as_of": _term(
        "Power listed on",
        "Leistung gelistet am",
        "Day of SMA's list from which the AC power is.",
        "Tag der SMA-Liste, aus der die AC-Leistung stammt.",
    ),
    "capacity_class": _term(
        "Class (kW)", "Klasse (kW)", "SMA's class of AC power.", "Leistungsklasse bei SMA."
    ),
    "n_requests": _term(
        "Requests",
        "Anfragen",
        "Answered requests of the month that named the system.",
        "Beantwortete Anfragen des Monats, die das System nennen.",
    ),
    "first_request": _term(
        "First request (UTC)", "Erste Anfrage (UTC)", "First of these requests.", "Erste dieser Anfragen."
    ),
    "base_eur": _term(
        "Base fee ({currency})",
        "Grundpreis ({currency})",
        "Part of the fee by class.",
        "Teil des Entgelts nach Klasse.",
    ),
    "capacity_eur": _term(
        "Fee by power ({currency})",
        "Leistungspreis ({currency})",
        "Part of the fee for each kW of AC power.",
        "Teil des Entgelts für jedes kW AC-Leistung.",
    ),
    "fee_eur": _term(
        "Fee ({currency})",
        "Entgelt ({currency})",
        "What the PU costs by the price list, without tax. Empty: no price is known, which does not mean free.",
        "Was die PU nach der Preisliste kostet, ohne Steuer. Leer: kein Preis bekannt, das heißt nicht kostenlos.",
    ),
    "currency": _term("Currency", "Währung", "Currency of the amounts.", "Währung der Beträge."),
    "pricing": _term(
        "Priced",
        "Bepreist",
        "Whether the PU has a price, and if not, why.",
        "Ob die PU einen Preis hat, und falls nicht, warum.",
    ),
    "price_source": _term(
        "Source of the price",
        "Quelle des Preises",
        "Where the prices are from; check them against your contract.",
        "Woher die Preise stammen; prüfen Sie sie anhand Ihres Vertrags.",
    ),
    "n_units": _term(
        "PU",
        "PU",
        "One system in one month in which it was asked for.",
        "Ein System in einem Monat, in dem es abgefragt wurde.",
    ),
    "n_unpriced": _term(
        "PU without a price", "PU ohne Preis", "PU that the amounts lack.", "PU, die in den Beträgen fehlen."
    ),
    "units_eur": _term(
        "Fees of the PU ({currency})",
        "Entgelte der PU ({currency})",
        "Sum of the PU's fees.",
        "Summe der Entgelte der PU.",
    ),
    "live_eur": _term(
        "Live plan ({currency})",
        "Live-Tarif ({currency})",
        "Price of a booked Live plan.",
        "Preis eines gebuchten Live-Tarifs.",
    ),
    "fees_eur": _term(
        "All fees ({currency})", "Alle Entgelte ({currency})", "PU and Live plan.", "PU und Live-Tarif."
    ),
    "carried_in_eur": _term(
        "Carried in ({currency})",
        "Vortrag ({currency})",
        "Amount from quarters before.",
        "Betrag aus früheren Quartalen.",
    ),
    "invoiced_eur": _term(
        "To be invoiced ({currency})",
        "In Rechnung zu stellen ({currency})",
        "What SMA should invoice for the quarter.",
        "Was SMA für das Quartal in Rechnung stellen sollte.",
    ),
    "carried_out_eur": _term(
        "Carried over ({currency})",
        "Übertrag ({currency})",
        "Amount that goes into the next quarter.",
        "Betrag, der ins nächste Quartal geht.",
    ),
    "decision": _term(
        "Decision",
        "Entscheidung",
        "Why the amount is invoiced or carried over.",
        "Warum der Betrag berechnet oder übertragen wird.",
    ),
    "is_closed": _term("Over", "Beendet", "Whether the quarter is over.", "Ob das Quartal vorbei ist."),
    "kind": _term(
        "Comparison",
        "Vergleich",
        "How SMA's line and our count compare.",
        "Wie SMAs Zeile und unsere Zählung zueinander stehen.",
    ),
    "ours_class": _term(
        "Our class (kW)", "Unsere Klasse (kW)", "Class by our count.", "Klasse nach unserer Zählung."
    ),
    "theirs_class": _term(
        "SMA's class (kW)", "SMAs Klasse (kW)", "Class on the invoice.", "Klasse auf der Rechnung."
    ),
    "ours_eur": _term(
        "By our count ({currency})",
        "Nach unserer Zählung ({currency})",
        "Fee by our count.",
        "Entgelt nach unserer Zählung.",
    ),
    "theirs_eur": _term(
        "Charged by SMA ({currency})",
        "Von SMA berechnet ({currency})",
        "Amount on the invoice.",
        "Betrag auf der Rechnung.",
    ),
    "difference_eur": _term(
        "SMA's minus ours ({currency})",
        "SMA minus wir ({currency})",
        "Amount on the invoice minus our fee.",
        "Betrag auf der Rechnung minus unser Entgelt.",
    ),
    "line": _term("Line", "Zeile", "Line of the invoice's file.", "Zeile der Rechnungsdatei."),
    "note": _term(
        "Note",
        "Anmerkung",
        "What is known of the difference (in English).",
        "Was über den Unterschied bekannt ist (englisch).",
    ),
    "quantity": _term("Quantity", "Größe", "The measured quantity.", "Die gemessene Größe."),
    "closed_kwh": _term(
        "Closed figure (kWh)",
        "Abgeschlossener Wert (kWh)",
        "Figure of the closed month.",
        "Wert des abgeschlossenen Monats.",
    ),
    "now_kwh": _term(
        "Present sum (kWh)", "Heutige Summe (kWh)", "Present sum of the days.", "Heutige Summe der Tage."
    ),
    "before_kwh": _term(
        "Before (kWh)", "Vorher (kWh)", "Figure before the change.", "Wert vor der Änderung."
    ),
    "after_kwh": _term("After (kWh)", "Nachher (kWh)", "Figure after the change.", "Wert nach der Änderung."),
    "difference_kwh": _term(
        "Difference (kWh)", "Differenz (kWh)", "New figure minus old figure.", "Neuer Wert minus alter Wert."
    ),
    "noted_at": _term(
        "Noted (UTC)", "Bemerkt (UTC)", "When the change was noted.", "Wann die Änderung bemerkt wurde."
    ),
    "cause": _term("Cause", "Ursache", "Why the figure changed.", "Warum sich der Wert geändert hat."),
    "missing_h": _term(
        "Missing time (h)", "Fehlende Zeit (h)", "Expected time without values.", "Erwartete Zeit ohne Werte."
    ),
    "n_flagged": _term(
        "Rows set aside",
        "Ausgesonderte Zeilen",
        "Rows of which a value was set aside.",
        "Zeilen, von denen ein Wert ausgesondert wurde.",
    ),
    "n_suspect": _term(
        "Suspicious rows",
        "Auffällige Zeilen",
        "Rows with a suspicious value that was kept.",
        "Zeilen mit einem auffälligen, behaltenen Wert.",
    ),
    "reasons": _term(
        "Reasons",
        "Gründe",
        "Reasons by their names in docs/quality.md.",
        "Gründe mit ihren Namen aus docs/quality.md.",
    ),
    "reason": _term(
        "Reason",
        "Grund",
        "Reason by its name in docs/quality.md.",
        "Grund mit seinem Namen aus docs/quality.md.",
    ),
    "source": _term(
        "Table", "Tabelle", "Table whose value was set aside.", "Tabelle, deren Wert ausgesondert wurde."
    ),
    "device_id": _term("Device id", "Geräte-ID", "SMA's id of the device.", "Kennung des Geräts bei SMA."),
    "n_found": _term("Cases", "Fälle", "How often it happened.", "Wie oft es vorkam."),
    "n_rows": _term("Rows", "Zeilen", "Rows that it concerns.", "Zeilen, die es betrifft."),
}
