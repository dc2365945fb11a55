-- What is the highest quarter of an hour that each plant drew from the grid?
-- detail
-- By the mean power of the time that is covered. A quarter of which less than half is covered tells too little.
WITH quarters AS (
    SELECT plant_id, plant_name, local_start, quarter_start,
        grid_consumption_kwh / grid_consumption_covered_h AS drawn_kw
    FROM v_energy_quarter_hourly
    WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31' AND grid_consumption_kwh > 0
        AND grid_consumption_covered_h >= 0.125
)
SELECT any_value(plant_name) AS plant_name, round(round(max(drawn_kw), 6), 2) AS peak_kw,
    min_by(local_start, (-round(drawn_kw, 3), quarter_start)) AS local_start
FROM quarters
GROUP BY plant_id
ORDER BY plant_name
