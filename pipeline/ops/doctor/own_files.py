"""The files of the user that the settings name: they are looked at before a run's first request, and stop it there."""

from pipeline.billing import load_prices
from pipeline.common.errors import ConfigurationError
from pipeline.common.settings import Settings, name_variable
from pipeline.ops.doctor.result import Diagnosis, fail, pass_check
from pipeline.run.supplied_files.plant_attributes import read_plant_attributes
from pipeline.run.supplied_files.supplied_irradiation import read_supplied_irradiation
from pipeline.run.supplied_files.supplied_limits import read_supplied_limits
from pipeline.run.supplied_files.supplied_thresholds import read_thresholds
from warehouse.published_file.own_tables import check_own_folder


def judge_own_files(settings: Settings) -> list[Diagnosis]:
    """A finding for each of them that can't be used; one for all when there is none."""
    found = []
    for read in (
        lambda: load_prices(settings.prices),
        lambda: read_thresholds(settings.quality),
        lambda: read_supplied_irradiation(settings),
        lambda: read_supplied_limits(settings),
        lambda: read_plant_attributes(settings),
        lambda: check_own_folder(settings.own_tables),
    ):
        try:
            read()
        except ConfigurationError as fault:
            found.append(fail("files", str(fault)))
    named = {
        name: getattr(settings, name)
        for name in (
            "prices",
            "quality",
            "irradiation",
            "curtailment_limits",
            "plant_attributes",
            "own_tables",
        )
    }
    own = ", ".join(f"{name_variable(name)}={path}" for name, path in named.items() if path is not None)
    return found or [pass_check("files", f"{own} can be read" if own else "no file of your own is named")]
