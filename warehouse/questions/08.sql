-- Why has a plant no performance ratio?
-- report
SELECT plants.name AS plant_name, performance_ratio_reason, count(*) AS n_months
FROM kpi_monthly
JOIN plants USING (plant_id)
WHERE performance_ratio IS NULL
GROUP BY ALL
ORDER BY plant_name
