-- table
-- When the whole fleet makes and uses its energy: sums of each month by the hour of the plants' own clocks. A sum includes the plants that reported the quantity, so two sums may be of different plants: where one is divided by the other, add up plants that have both.
-- Key: month, local_hour.
--
-- month: First day of the calendar month.
-- local_hour: Hour of the plants' own clocks, 0 to 23.
-- n_plants: Plants with at least one row in this hour. Unit: count.
-- pv_generation_covered_h: Time with values of PV generation, summed over plants and days. Unit: h. Null: nothing measured.
-- pv_generation_kwh: PV generation. Unit: kWh. Null: nothing measured.
-- total_consumption_kwh: Total consumption. Unit: kWh. Null: nothing measured.
-- grid_feed_in_kwh: Feed-in to the grid. Unit: kWh. Null: nothing measured.
-- grid_consumption_kwh: Consumption from the grid. Unit: kWh. Null: nothing measured.
-- battery_charging_kwh: Battery charging. Unit: kWh. Null: nothing measured.
-- battery_discharging_kwh: Battery discharging. Unit: kWh. Null: nothing measured.
SELECT
    month,
    local_hour,
    count(*) AS n_plants,
    exact_sum(pv_generation_covered_h) AS pv_generation_covered_h,
    exact_sum(pv_generation_kwh) AS pv_generation_kwh,
    exact_sum(total_consumption_kwh) AS total_consumption_kwh,
    exact_sum(grid_feed_in_kwh) AS grid_feed_in_kwh,
    exact_sum(grid_consumption_kwh) AS grid_consumption_kwh,
    exact_sum(battery_charging_kwh) AS battery_charging_kwh,
    exact_sum(battery_discharging_kwh) AS battery_discharging_kwh
FROM profile_monthly
GROUP BY month, local_hour
ORDER BY month, local_hour
