-- What was the best day of each plant?
-- report
WITH best AS (
    SELECT plant_id, arg_max(local_date, pv_generation_kwh) AS best_day, max(pv_generation_kwh) AS kwh
    FROM energy_daily
    GROUP BY plant_id
)
SELECT plants.name AS plant_name, best_day, round(kwh, 2) AS pv_kwh
FROM best
JOIN plants USING (plant_id)
ORDER BY plant_name
