-- What was the best day of each plant?
-- report
SELECT plants.name AS plant_name, arg_max(local_date, pv_generation_kwh) AS best_day,
    round(max(pv_generation_kwh), 2) AS pv_kwh
FROM energy_daily
JOIN plants USING (plant_id)
GROUP BY plant_id, plant_name
ORDER BY plant_name
