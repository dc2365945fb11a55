-- table
-- The average day of each plant and month: mean power by the hour of the plant's clock, over the time for which there are values, with the plant's name.
-- Key: plant_id, month, local_hour.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave.
-- month: First day of the calendar month.
-- local_hour: Hour of the plant's own clock, 0 to 23.
-- n_days: Days with a row in this hour. Unit: count.
-- pv_generation_kwh: PV generation of all these hours. Unit: kWh. Null: nothing measured.
-- pv_generation_w: Mean PV generation. Unit: W. Null: nothing measured.
-- total_consumption_w: Mean total consumption. Unit: W. Null: nothing measured.
-- grid_feed_in_w: Mean feed-in to the grid. Unit: W. Null: nothing measured.
-- grid_consumption_w: Mean consumption from the grid. Unit: W. Null: nothing measured.
-- battery_charging_w: Mean battery charging. Unit: W. Null: no battery, or nothing measured.
-- battery_discharging_w: Mean battery discharging. Unit: W. Null: no battery, or nothing measured.
SELECT
    profile.plant_id,
    plants.name AS plant_name,
    profile.month,
    profile.local_hour,
    profile.n_days,
    profile.pv_generation_kwh,
    1000 * profile.pv_generation_kwh / nullif(profile.pv_generation_covered_h, 0) AS pv_generation_w,
    1000 * profile.total_consumption_kwh / nullif(profile.total_consumption_covered_h, 0) AS total_consumption_w,
    1000 * profile.grid_feed_in_kwh / nullif(profile.grid_feed_in_covered_h, 0) AS grid_feed_in_w,
    1000 * profile.grid_consumption_kwh / nullif(profile.grid_consumption_covered_h, 0) AS grid_consumption_w,
    1000 * profile.battery_charging_kwh / nullif(profile.battery_charging_covered_h, 0) AS battery_charging_w,
    1000 * profile.battery_discharging_kwh / nullif(profile.battery_discharging_covered_h, 0) AS battery_discharging_w
FROM profile_monthly AS profile
LEFT JOIN plants ON plants.plant_id = profile.plant_id
ORDER BY profile.month, profile.plant_id, profile.local_hour
