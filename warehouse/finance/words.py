"""What sheets, codes and months are called in each language of the pack for finance."""

from typing import Final

from warehouse.finance.labels import BilingualText

SHEET_NAMES: Final = {
    "summary": BilingualText("Summary", "Übersicht"),
    "energy-monthly": BilingualText("Energy", "Energie"),
    "energy-year": BilingualText("Energy of the year", "Energie des Jahres"),
    "energy-daily": BilingualText("Energy by day", "Energie nach Tag"),
    "completeness": BilingualText("Completeness", "Vollständigkeit"),
    "billing-units": BilingualText("PU and price", "PU und Preis"),
    "invoices": BilingualText("Invoices", "Rechnungen"),
    "invoice-check": BilingualText("Invoice check", "Rechnungsprüfung"),
    "adjustments": BilingualText("Adjustments", "Anpassungen"),
    "restatements": BilingualText("Restatements", "Geänderte Werte"),
    "days-to-check": BilingualText("Days to check", "Zu prüfende Tage"),
    "set-aside": BilingualText("Set aside", "Ausgesondert"),
    "glossary": BilingualText("Glossary", "Begriffe"),
}

QUANTITIES: Final = {
    "pv_generation": BilingualText("PV generation", "PV-Erzeugung"),
    "total_generation": BilingualText("total generation", "Gesamterzeugung"),
    "diesel_generation": BilingualText("diesel generation", "Dieselerzeugung"),
    "direct_consumption": BilingualText("direct consumption", "Direktverbrauch"),
    "self_consumption": BilingualText("self-consumption", "Eigenverbrauch"),
    "self_supply": BilingualText("self-supply", "Eigenversorgung"),
    "total_consumption": BilingualText("total consumption", "Gesamtverbrauch"),
    "grid_feed_in": BilingualText("grid feed-in", "Netzeinspeisung"),
    "grid_consumption": BilingualText("grid consumption", "Netzbezug"),
    "battery_charging": BilingualText("battery charging", "Batterieladung"),
    "battery_discharging": BilingualText("battery discharging", "Batterieentladung"),
}

# What the codes of a column are called; other values are shown as they are.
VALUES: Final = {
    "quantity": QUANTITIES,
    "status": {
        "complete": BilingualText("complete", "vollständig"),
        "partial": BilingualText("partial", "lückenhaft"),
        "missing": BilingualText("missing", "ohne Daten"),
        "provisional": BilingualText("provisional", "vorläufig"),
        "not_fetched": BilingualText("not fetched", "nicht abgerufen"),
    },
    "pricing": {
        "priced": BilingualText("priced", "bepreist"),
        "no_capacity": BilingualText("no: SMA lists no AC power", "nein: SMA nennt keine AC-Leistung"),
        "no_price": BilingualText("no: the price list begins later", "nein: die Preisliste beginnt später"),
        "no_price_list": BilingualText(
            "no: the price list can't be read", "nein: die Preisliste ist nicht lesbar"
        ),
    },
    # The price list of the product says this; lists of the user's own say what the user wrote.
    "price_source": {
        "published figures, check against your contract": BilingualText(
            "published figures, check against your contract",
            "veröffentlichte Preise, prüfen Sie sie anhand Ihres Vertrags",
        ),
    },
    "decision": {
        "invoiced": BilingualText("invoiced", "wird berechnet"),
        "year_end": BilingualText("invoiced at the year's end", "wird zum Jahresende berechnet"),
        "carried": BilingualText("carried over", "wird übertragen"),
        "waits_for_year_end": BilingualText("waits for the year's end", "wartet auf das Jahresende"),
    },
    "kind": {
        "agreed": BilingualText("agreed", "stimmt überein"),
        "ours only": BilingualText("ours only", "nur bei uns"),
        "theirs only": BilingualText("theirs only", "nur bei SMA"),
        "other class": BilingualText("other class", "andere Klasse"),
        "other price": BilingualText("other price", "anderer Preis"),
        "no price": BilingualText("no price", "ohne Preis"),
    },
    "cause": {
        "answer_changed": BilingualText("SMA answers differently", "SMA antwortet anders"),
        "first_answer": BilingualText("first answer for the day", "erste Antwort für den Tag"),
        "time_basis_changed": BilingualText("other time basis", "andere Zeitbasis"),
        "merged_hour_changed": BilingualText(
            "other setting for the repeated hour", "andere Einstellung der doppelten Stunde"
        ),
        "thresholds_changed": BilingualText("other quality thresholds", "andere Qualitätsschwellen"),
        "plant_data_changed": BilingualText("other plant data", "andere Anlagendaten"),
        "version_changed": BilingualText("other version of sunledger", "andere Version von sunledger"),
        "plant_moved": BilingualText("the plant got a new id", "die Anlage bekam eine neue Kennung"),
        "unknown": BilingualText("unknown", "unbekannt"),
    },
}

MONTHS: Final = (
    BilingualText("January", "Januar"),
    BilingualText("February", "Februar"),
    BilingualText("March", "März"),
    BilingualText("April", "April"),
    BilingualText("May", "Mai"),
    BilingualText("June", "Juni"),
    BilingualText("July", "Juli"),
    BilingualText("August", "August"),
    BilingualText("September", "September"),
    BilingualText("October", "Oktober"),
    BilingualText("November", "November"),
    BilingualText("December", "Dezember"),
)
