-- Which plants have the best yield per installed kW?
-- report
SELECT plant_name, round(specific_yield_kwh_per_kw, 1) AS kwh_per_kw, round(pv_generation_coverage, 3) AS coverage
FROM v_energy_monthly
WHERE month = DATE '2021-10-01' AND specific_yield_kwh_per_kw IS NOT NULL
ORDER BY kwh_per_kw DESC, plant_name
LIMIT 10
