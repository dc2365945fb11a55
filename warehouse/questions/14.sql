-- What was the best day of each plant?
-- report
SELECT plant_name, best_day, round(best_day_pv_generation_kwh, 2) AS pv_kwh, round(best_day_coverage, 3) AS coverage
FROM v_plants_energy
WHERE best_day IS NOT NULL
ORDER BY plant_name
