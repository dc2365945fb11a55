-- What is the highest quarter of an hour that each plant drew from the grid?
-- detail
WITH intervals AS (
    SELECT plant_id, grid_consumption_kwh AS kwh, epoch_ms(interval_start) AS began, epoch_ms(interval_end) AS ended,
        began // 900000 AS first_quarter, (ended - 1) // 900000 AS last_quarter
    FROM energy_balance_intervals
    WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31' AND grid_consumption_kwh > 0
), shares AS (
    -- Most intervals lie in one quarter. One that does not gives each of them its share; time without a row gives nothing.
    SELECT plant_id, first_quarter AS quarter, kwh FROM intervals WHERE first_quarter = last_quarter
    UNION ALL
    SELECT plant_id, quarter,
        kwh * (least(ended, (quarter + 1) * 900000) - greatest(began, quarter * 900000)) / (ended - began)
    FROM (SELECT *, unnest(range(first_quarter, last_quarter + 1)) AS quarter FROM intervals WHERE first_quarter < last_quarter)
), quarters AS (
    SELECT plant_id, quarter, round(sum(kwh) * 4, 6) AS mean_kw FROM shares GROUP BY ALL
)
SELECT plants.name AS plant_name, round(max(mean_kw), 2) AS peak_kw,
    local_time(to_timestamp(min_by(quarter, (-mean_kw, quarter)) * 900), any_value(plants.timezone)) AS local_start
FROM quarters
JOIN plants USING (plant_id)
GROUP BY plant_id, plant_name
ORDER BY plant_name
