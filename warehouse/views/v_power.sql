-- view
-- Power of each plant in the intervals that the API reports, with the plant's name and its wall clock. Filter by plant_id and local_date to be fast.
-- Key: plant_id, interval_end.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave.
-- timezone: IANA time zone of the plant.
-- local_date: Calendar day in the plant's own time zone.
-- local_start: Start of the interval by the plant's clock; an hour is repeated when clocks go back.
-- interval_start: Start of the interval (UTC).
-- interval_end: End of the interval (UTC).
-- pv_generation_w: PV generation. Unit: W. Null: not reported, or set aside as implausible.
-- total_consumption_w: Total consumption. Unit: W. Null: not reported, or set aside as implausible.
-- grid_feed_in_w: Feed-in to the grid. Unit: W. Null: not reported, or set aside as implausible.
-- grid_consumption_w: Consumption from the grid. Unit: W. Null: not reported, or set aside as implausible.
-- battery_charging_w: Battery charging. Unit: W. Null: no battery, or not reported.
-- battery_discharging_w: Battery discharging. Unit: W. Null: no battery, or not reported.
SELECT
    power.plant_id,
    plants.name AS plant_name,
    plants.timezone,
    power.local_date,
    timezone('UTC', power.interval_start) + to_seconds(clock.utc_offset_s) AS local_start,
    power.interval_start,
    power.interval_end,
    power.pv_generation_w,
    power.total_consumption_w,
    power.grid_feed_in_w,
    power.grid_consumption_w,
    power.battery_charging_w,
    power.battery_discharging_w
FROM energy_balance_intervals AS power
LEFT JOIN plants ON plants.plant_id = power.plant_id
LEFT JOIN _clocks AS clock ON clock.timezone = plants.timezone
    AND power.interval_start >= clock.since AND power.interval_start < clock.until
-- Intervals of a plant that moved keep the id that it had then. The settings may name either.
LEFT JOIN (
-- shared: plant_moves
) AS moves ON moves.former_id = power.plant_id
LEFT JOIN plants AS present ON present.plant_id = coalesce(moves.newest_id, power.plant_id)
WHERE present.excluded_from IS NULL OR power.local_date < present.excluded_from
