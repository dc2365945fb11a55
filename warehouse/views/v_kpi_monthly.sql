-- table
-- Figures of each plant and month by IEC 61724-1 with the plant's name; kpi_monthly has their formulas, inputs and reasons.
-- Key: plant_id, month.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave.
-- month: First day of the calendar month.
-- status: complete, partial (rows or days are missing), missing (no row at all) or provisional (may still change).
-- coverage: Share of the expected time of the stored days that is covered by rows with a value, including the night where there is a meter. Unit: 1. Null: nothing was expected.
-- pv_generation_coverage: Share of the time between sunrise and sunset that is covered by values of PV generation, over the days as they are now. Unit: 1. Null: no PV was expected, or stored before this was counted.
-- irradiation_source: sensor, supplied (the user's own series), clear_sky (there is neither, so there is no performance ratio, and availability is calculated with a cloudless sky) or none.
-- irradiation_series: Name of the user's own series. Null: none.
-- final_yield_kwh_per_kw: Final yield. Unit: kWh/kW. Null: see the reason in kpi_monthly.
-- reference_yield_h: Reference yield. Unit: h. Null: see the reason in kpi_monthly.
-- reference_yield_clear_sky_h: Reference yield under a cloudless sky, which is an upper limit of the reference yield. Unit: h. Null: see the reason in kpi_monthly.
-- performance_ratio: Performance ratio of the measured window, from measured irradiation alone. Unit: 1. Null: see the reason in kpi_monthly.
-- performance_ratio_reason: Why performance_ratio is null. Null: it is known.
-- performance_ratio_clear_sky: Ratio of the yield to that under a cloudless sky; it is a lower bound of the performance ratio and is known with and without a sensor. Unit: 1. Null: see the reason in kpi_monthly.
-- performance_ratio_period: Performance ratio of the whole period. Unit: 1. Null: see the reason in kpi_monthly.
-- capacity_factor: Capacity factor by AC power. Unit: 1. Null: see the reason in kpi_monthly.
-- availability_time: Availability by time. Unit: 1. Null: see the reason in kpi_monthly.
-- availability_energy: Availability by energy. Unit: 1. Null: see the reason in kpi_monthly.
-- self_consumption_rate: Self-consumption rate. Unit: 1. Null: see the reason in kpi_monthly.
-- self_supply_rate: Self-supply rate (autarky). Unit: 1. Null: see the reason in kpi_monthly.
-- co2_avoided_kg: CO2 avoided. Unit: kg. Null: see the reason in kpi_monthly.
-- plant_group: Group of the plant by plant_attributes. Null: none.
WITH moves AS (
-- shared: plant_moves
), source AS (
    FROM kpi_monthly
), months AS (
    -- As in v_energy_monthly, which has no row where a month has figures and no energy.
-- shared: months_of_moved
), pv AS (
-- shared: pv_coverage_monthly
)
SELECT
    kpi.plant_id,
    plants.name AS plant_name,
    kpi.month,
    kpi.status,
    kpi.coverage,
    pv.coverage AS pv_generation_coverage,
    kpi.irradiation_source,
    kpi.irradiation_series,
    kpi.final_yield_kwh_per_kw,
    kpi.reference_yield_h,
    kpi.reference_yield_clear_sky_h,
    kpi.performance_ratio,
    kpi.performance_ratio_reason,
    kpi.performance_ratio_clear_sky,
    kpi.performance_ratio_period,
    kpi.capacity_factor,
    kpi.availability_time,
    kpi.availability_energy,
    kpi.self_consumption_rate,
    kpi.self_supply_rate,
    kpi.co2_avoided_kg,
    attributes.plant_group
FROM months AS kpi
LEFT JOIN plants ON plants.plant_id = kpi.present_id
LEFT JOIN plant_attributes AS attributes ON attributes.plant_id = kpi.present_id
LEFT JOIN pv ON pv.plant_id = kpi.days_id AND pv.month = kpi.month
ORDER BY kpi.month, plant_name, kpi.plant_id
