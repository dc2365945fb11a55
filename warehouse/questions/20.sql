-- What is the highest quarter of an hour that each plant drew from the grid?
-- detail
WITH quarters AS (
    SELECT plant_id, epoch_ms(interval_start) // 900000 AS quarter, round(sum(grid_consumption_kwh) * 4, 6) AS mean_kw
    FROM energy_balance_intervals
    WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31'
    GROUP BY ALL
)
SELECT plants.name AS plant_name, round(max(mean_kw), 2) AS peak_kw,
    local_time(to_timestamp(min_by(quarter, (-mean_kw, quarter)) * 900), any_value(plants.timezone)) AS local_start
FROM quarters
JOIN plants USING (plant_id)
GROUP BY plant_id, plant_name
HAVING peak_kw > 0
ORDER BY plant_name
