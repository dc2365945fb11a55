-- Which share of the evening's consumption comes from the grid?
-- detail
SELECT plant_name, round(sum(total_consumption_kwh), 1) AS evening_kwh,
    round(sum(grid_consumption_kwh) / sum(total_consumption_kwh), 3) AS share_from_grid
FROM v_energy_quarter_hourly
WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31' AND hour(local_start) BETWEEN 17 AND 21
    AND total_consumption_kwh IS NOT NULL AND grid_consumption_kwh IS NOT NULL
GROUP BY plant_id, plant_name
ORDER BY plant_name, plant_id
