"""The plants of the demo: how the sandbox is started, and what an owner would know about its plants.

Their ids follow from the number of plants and the seed, so both stand in one place.
"""

from typing import Final

TIME_BASIS: Final = "plant_local"
SANDBOX_OPTIONS = ("--plants", "12", "--seed", "7", "--recordings", "--time-basis", TIME_BASIS)

# kWh that one kW of modules makes in January to December: round figures of the place.
_PLACES = {
    "Boston": (70, 85, 110, 120, 130, 135, 140, 130, 110, 90, 65, 60),
    "Niestetal": (25, 40, 75, 110, 125, 125, 125, 110, 85, 55, 28, 20),
    "Osaka": (95, 95, 115, 120, 125, 105, 115, 125, 105, 100, 90, 90),
}
# The simulated plants: id, place, kW of modules, tariff, and kWh that the battery can hold.
_PLANTS = (
    ("5000000", "Niestetal", 53.02, "day-ahead", 98.2),
    ("5000022", "Boston", 5.62, "fixed", 9.8),
    ("5000044", "Osaka", 107.84, "fixed", 174.5),
    ("b5cdafa4-1fba-4c72-a98b-925371582182", "Niestetal", 12.78, "fixed", None),
    ("8bdad230-294f-4703-9cd8-5df17e4b6dd1", "Boston", 3.73, "fixed", None),
    ("5ae46d3d-182a-48e5-acda-894866652ca3", "Osaka", 8.86, "fixed", None),
    ("5000132", "Niestetal", 6.78, "fixed", None),
    ("5000154", "Boston", 6.27, "fixed", None),
    ("5000176", "Osaka", 153.65, "fixed", None),
    ("62c3cffe-41ac-4f92-8899-06610ee07b05", "Niestetal", 52.52, "day-ahead", 93.9),
    ("31403258-4ccd-4f1c-846b-bc4623b45ef8", "Boston", 163.63, "fixed", 168.2),
    ("07e3a73e-c267-4891-b53e-3abea61fe6cb", "Osaka", 26.13, "fixed", 44.3),
)


def write_demo_attributes() -> str:
    """The file of SUNLEDGER_PLANT_ATTRIBUTES, as TOML.

    The two recordings have no attributes, like plants that the owner has not described yet.
    """
    entries = []
    for plant, place, peak_kw, tariff, battery_kwh in _PLANTS:
        expected = ", ".join(f"{peak_kw * each:.0f}" for each in _PLACES[place])
        battery = [] if battery_kwh is None else [f"battery_capacity_kwh = {battery_kwh}"]
        entries.append(
            "\n".join(
                [
                    f'["{plant}"]',
                    f'group = "{place}"',
                    f'tariff = "{tariff}"',
                    *battery,
                    f"expected_kwh = [{expected}]",
                ]
            )
        )
    return "\n\n".join(entries) + "\n"
