-- What did each plant draw from the grid at high and at low tariff?
-- detail
-- High tariff is from 7 to 20 o'clock on working days, by the plant's own clock.
SELECT plant_name, isodow(local_start) <= 5 AND hour(local_start) BETWEEN 7 AND 19 AS is_high_tariff,
    round(sum(grid_consumption_kwh), 1) AS bought_kwh
FROM v_energy_quarter_hourly
WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31' AND grid_consumption_kwh IS NOT NULL
GROUP BY plant_id, plant_name, is_high_tariff
ORDER BY plant_name, is_high_tariff, plant_id
