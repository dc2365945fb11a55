"""The doctor leaves out a plant that is excluded by an id that it had before, which SMA's list does not say."""

from collections.abc import Callable

import polars as pl

from bench.lists import refresh_lists
from pipeline.ops.doctor.patient import Patient, agree_to_nothing
from pipeline.ops.doctor.plant_checks import examine_plants
from pipeline.ops.doctor.result import Level
from pipeline.run.context import RunContext
from pipeline.sma.clock import Clock
from schemas import Plants


def test_a_plant_is_left_out_by_the_id_that_it_had(new_runtime: Callable[..., RunContext]) -> None:
    runtime = new_runtime()
    refresh_lists(runtime)
    plants = runtime.lake.read_whole(Plants)
    moved = pl.when(pl.col("plant_id") == "12").then(pl.lit("10")).alias("migrated_from")
    runtime.lake.replace(Plants, {}, [plants.with_columns(moved)])
    runtime.settings = runtime.settings.model_copy(update={"exclude_plants": "10"})
    patient = Patient(runtime, Clock(), 0, agree_to_nothing, runtime.credentials[0])
    (*_, own) = examine_plants(patient)
    assert patient.plants["plant_id"].to_list() == ["11"]
    assert own.level is Level.OK, own.text
