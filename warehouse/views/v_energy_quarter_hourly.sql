-- view
-- Energy of each plant and quarter of an hour with the plant's name and its wall clock, without days on which the settings exclude the plant. It serves settlement, peak demand, tariffs by the time of day, and prices by the quarter. Mean power in kW is an energy divided by its own time (grid_consumption_kwh / grid_consumption_covered_h); covered_h is of rows with any value. Filter by plant_id and local_date to be fast.
-- Key: plant_id, quarter_start.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave.
-- timezone: IANA time zone of the plant.
-- local_date: Calendar day in the plant's own time zone.
-- local_start: Start of the quarter by the plant's clock; an hour is repeated when clocks go back.
-- quarter_start: Start of the quarter (UTC).
-- covered_h: Time of the quarter that is covered by rows with any value; 0 where there is no data. Unit: h.
-- pv_generation_kwh: PV generation: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- pv_generation_covered_h: PV generation: time that its energy covers. Unit: h. Null: nothing measured.
-- total_consumption_kwh: Total consumption: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- total_consumption_covered_h: Total consumption: time that its energy covers. Unit: h. Null: nothing measured.
-- self_consumption_kwh: Own generation used on site: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- self_consumption_covered_h: Self-consumption: time that its energy covers. Unit: h. Null: nothing measured.
-- grid_feed_in_kwh: Feed-in to the grid: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- grid_feed_in_covered_h: Feed-in: time that its energy covers. Unit: h. Null: nothing measured.
-- grid_consumption_kwh: Consumption from the grid: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- grid_consumption_covered_h: Grid consumption: time that its energy covers. Unit: h. Null: nothing measured.
-- battery_charging_kwh: Battery charging: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- battery_charging_covered_h: Battery charging: time that its energy covers. Unit: h. Null: nothing measured.
-- battery_discharging_kwh: Battery discharging: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- battery_discharging_covered_h: Battery discharging: time that its energy covers. Unit: h. Null: nothing measured.
-- plant_group: Group of the plant by plant_attributes. Null: none.
-- tariff: Name of the plant's tariff, by plant_attributes. Null: none.
SELECT
    energy.plant_id,
    plants.name AS plant_name,
    plants.timezone,
    energy.local_date,
    timezone('UTC', energy.quarter_start) + to_seconds(clock.utc_offset_s) AS local_start,
    energy.quarter_start,
    energy.covered_h,
    energy.pv_generation_kwh,
    energy.pv_generation_covered_h,
    energy.total_consumption_kwh,
    energy.total_consumption_covered_h,
    energy.self_consumption_kwh,
    energy.self_consumption_covered_h,
    energy.grid_feed_in_kwh,
    energy.grid_feed_in_covered_h,
    energy.grid_consumption_kwh,
    energy.grid_consumption_covered_h,
    energy.battery_charging_kwh,
    energy.battery_charging_covered_h,
    energy.battery_discharging_kwh,
    energy.battery_discharging_covered_h,
    attributes.plant_group,
    attributes.tariff
FROM energy_quarter_hourly AS energy
LEFT JOIN plants ON plants.plant_id = energy.plant_id
LEFT JOIN plant_attributes AS attributes ON attributes.plant_id = energy.plant_id
LEFT JOIN _clocks AS clock ON clock.timezone = plants.timezone
    AND energy.quarter_start >= clock.since AND energy.quarter_start < clock.until
WHERE plants.excluded_from IS NULL OR energy.local_date < plants.excluded_from
