-- table
-- Energy of each plant and day with the plant's name and its yield per installed power.
-- Key: plant_id, local_date.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave.
-- local_date: Calendar day in the plant's own time zone.
-- status: complete, partial (rows are missing), missing (no row at all) or provisional (may still change).
-- coverage: Share of the expected time that is covered by rows with a value, including the night where there is a meter. Unit: 1. Null: nothing was expected.
-- pv_generation_coverage: Share of the time between sunrise and sunset that is covered by values of PV generation. Unit: 1. Null: no PV was expected, or stored before this was counted.
-- bridged_h: Time to which a later row's power was applied, because rows before that row may be missing. Unit: h. Null: stored before this was counted.
-- pv_generation_kwh: PV generation. Unit: kWh. Null: nothing measured (not the same as zero).
-- inverters_pv_generation_kwh: PV generation by the plant's inverters, each with its own gaps. Unit: kWh. Null: no inverter has a value.
-- specific_yield_kwh_per_kw: PV generation per kW of the DC peak power of the day. Unit: kWh/kW. Null: nothing measured, or peak power not known.
-- self_consumption_kwh: Own generation used on site. Unit: kWh. Null: nothing measured.
-- grid_feed_in_kwh: Feed-in to the grid. Unit: kWh. Null: nothing measured.
-- grid_consumption_kwh: Consumption from the grid. Unit: kWh. Null: nothing measured.
-- total_consumption_kwh: Total consumption. Unit: kWh. Null: nothing measured.
-- battery_charging_kwh: Battery charging. Unit: kWh. Null: no battery, or nothing measured.
-- battery_discharging_kwh: Battery discharging. Unit: kWh. Null: no battery, or nothing measured.
-- plant_group: Group of the plant by plant_attributes. Null: none.
WITH inverters AS (
-- shared: inverters_daily
)
SELECT
    energy.plant_id,
    plants.name AS plant_name,
    energy.local_date,
    energy.status,
    energy.coverage,
    pv.coverage AS pv_generation_coverage,
    energy.bridged_h,
    energy.pv_generation_kwh,
    inverters.pv_generation_kwh AS inverters_pv_generation_kwh,
    energy.pv_generation_kwh / nullif(
        rated_power(plants.peak_power_kw, plants.former_powers, 'peak_power_kw', energy.local_date), 0
    ) AS specific_yield_kwh_per_kw,
    energy.self_consumption_kwh,
    energy.grid_feed_in_kwh,
    energy.grid_consumption_kwh,
    energy.total_consumption_kwh,
    energy.battery_charging_kwh,
    energy.battery_discharging_kwh,
    attributes.plant_group
FROM energy_daily AS energy
LEFT JOIN plants ON plants.plant_id = energy.plant_id
LEFT JOIN plant_attributes AS attributes ON attributes.plant_id = energy.plant_id
LEFT JOIN coverage_daily AS pv
    ON pv.plant_id = energy.plant_id
    AND pv.local_date = energy.local_date
    AND pv.quantity = 'pv_generation'
LEFT JOIN inverters ON inverters.plant_id = energy.plant_id AND inverters.local_date = energy.local_date
WHERE plants.excluded_from IS NULL OR energy.local_date < plants.excluded_from
ORDER BY month_of(energy.local_date), energy.plant_id, energy.local_date
