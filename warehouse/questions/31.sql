-- How many full cycles did each battery make, and what does it lose?
-- detail
SELECT plant_name, month, round(full_cycles, 1) AS full_cycles, round(round_trip_efficiency, 3) AS round_trip_efficiency,
    round_trip_basis
FROM v_battery_monthly
WHERE month = DATE '2021-10-01'
ORDER BY plant_name, month
