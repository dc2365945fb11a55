-- What is the highest quarter of an hour that each plant drew from the grid?
-- detail
SELECT any_value(plant_name) AS plant_name, round(round(max(grid_consumption_kwh) * 4, 6), 2) AS peak_kw,
    min_by(local_start, (-round(grid_consumption_kwh * 4, 3), quarter_start)) AS local_start
FROM v_energy_quarter_hourly
WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31' AND grid_consumption_kwh > 0
GROUP BY plant_id
ORDER BY plant_name
