-- view
-- Energy of each plant and quarter of an hour of its day, with the time that it covers. The energy of an interval that lies in two quarters is divided between them by time. The quarters of a day add up to the day, and the four quarters of an hour to the hour. Each plant and day of energy_daily has all its quarters, 92 or 100 where the clocks change; a quarter without data has covered_h 0 and no energy. Filter by plant_id and local_date to be fast.
-- Key: plant_id, quarter_start.
--
-- plant_id: Plant's id.
-- local_date: Calendar day in the plant's own time zone.
-- quarter_start: When the quarter of an hour begins (UTC).
-- covered_h: Time of the quarter that is covered by rows with any value; 0 where there is no data. Unit: h.
-- pv_generation_kwh: PV generation: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- total_generation_kwh: Total generation (PV and any other source on site): energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- diesel_generation_kwh: Diesel generation: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- direct_consumption_kwh: Consumption taken directly from generation: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- self_consumption_kwh: Own generation used on site: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- self_supply_kwh: Consumption met from own generation or battery: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- total_consumption_kwh: Total consumption: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- grid_feed_in_kwh: Feed-in to the grid: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- grid_consumption_kwh: Consumption from the grid: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- battery_charging_kwh: Battery charging: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- battery_discharging_kwh: Battery discharging: energy. Unit: kWh. Null: nothing measured (not the same as zero).
-- pv_generation_covered_h: PV generation: time that its energy covers. Unit: h. Null: nothing measured.
-- total_generation_covered_h: Total generation: time that its energy covers. Unit: h. Null: nothing measured.
-- diesel_generation_covered_h: Diesel generation: time that its energy covers. Unit: h. Null: nothing measured.
-- direct_consumption_covered_h: Direct consumption: time that its energy covers. Unit: h. Null: nothing measured.
-- self_consumption_covered_h: Self-consumption: time that its energy covers. Unit: h. Null: nothing measured.
-- self_supply_covered_h: Self-supply: time that its energy covers. Unit: h. Null: nothing measured.
-- total_consumption_covered_h: Total consumption: time that its energy covers. Unit: h. Null: nothing measured.
-- grid_feed_in_covered_h: Feed-in: time that its energy covers. Unit: h. Null: nothing measured.
-- grid_consumption_covered_h: Grid consumption: time that its energy covers. Unit: h. Null: nothing measured.
-- battery_charging_covered_h: Battery charging: time that its energy covers. Unit: h. Null: nothing measured.
-- battery_discharging_covered_h: Battery discharging: time that its energy covers. Unit: h. Null: nothing measured.
WITH energies AS (
    -- Of a quantity that portals calculate from others, quarter_energies holds the rest that those do not explain.
    SELECT *,
        total_generation_rest_kwh + coalesce(pv_generation_kwh, 0) + coalesce(diesel_generation_kwh, 0) AS total_generation_kwh,
        coalesce(total_generation_kwh, 0) - coalesce(grid_feed_in_kwh, 0) AS kept_kwh,
        kept_kwh - coalesce(battery_charging_kwh, 0) AS used_at_once_kwh,
        used_at_once_kwh + coalesce(battery_discharging_kwh, 0) AS own_kwh
    FROM quarter_energies
)
SELECT
    plant_id,
    local_date,
    quarter_start,
    covered_h,
    pv_generation_kwh,
    total_generation_kwh,
    diesel_generation_kwh,
    direct_consumption_rest_kwh + used_at_once_kwh AS direct_consumption_kwh,
    self_consumption_rest_kwh + kept_kwh AS self_consumption_kwh,
    self_supply_rest_kwh + own_kwh AS self_supply_kwh,
    total_consumption_rest_kwh + own_kwh + coalesce(grid_consumption_kwh, 0) AS total_consumption_kwh,
    grid_feed_in_kwh,
    grid_consumption_kwh,
    battery_charging_kwh,
    battery_discharging_kwh,
    pv_generation_covered_h,
    total_generation_covered_h,
    diesel_generation_covered_h,
    direct_consumption_covered_h,
    self_consumption_covered_h,
    self_supply_covered_h,
    total_consumption_covered_h,
    grid_feed_in_covered_h,
    grid_consumption_covered_h,
    battery_charging_covered_h,
    battery_discharging_covered_h
FROM energies
