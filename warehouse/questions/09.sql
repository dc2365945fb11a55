-- How well is the AC power of the plants used?
-- report
-- Time without rows counts as no energy: read it with the coverage.
SELECT plant_name, round(capacity_factor, 3) AS capacity_factor, round(pv_generation_coverage, 3) AS coverage
FROM v_kpi_monthly
WHERE month = DATE '2021-10-01'
ORDER BY capacity_factor DESC, plant_name
LIMIT 10
