-- What did each plant make in a month, and how complete is that?
-- report
SELECT plant_name, round(pv_generation_kwh, 1) AS pv_kwh, round(pv_generation_coverage, 3) AS coverage, status
FROM v_energy_monthly
WHERE month = DATE '2021-10-01'
ORDER BY plant_name
