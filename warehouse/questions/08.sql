-- Why has a plant no performance ratio?
-- report
SELECT plant_name, performance_ratio_reason, count(*) AS n_months
FROM v_kpi_monthly
WHERE performance_ratio IS NULL
GROUP BY plant_id, plant_name, performance_ratio_reason
ORDER BY plant_name, performance_ratio_reason, plant_id
