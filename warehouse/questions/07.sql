-- What is the performance ratio of each plant?
-- report
SELECT plant_name, round(performance_ratio, 3) AS performance_ratio,
    round(performance_ratio_clear_sky, 3) AS performance_ratio_clear_sky, round(pv_generation_coverage, 3) AS coverage
FROM v_kpi_monthly
WHERE month = DATE '2021-10-01'
ORDER BY plant_name
