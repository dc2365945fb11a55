-- Do the inverters and the plant's own figure tell the same energy?
-- report
SELECT plant_name, round(pv_generation_kwh, 1) AS plant_kwh, round(inverters_pv_generation_kwh, 1) AS inverters_kwh,
    round(100 * (inverters_pv_generation_kwh / nullif(pv_generation_kwh, 0) - 1), 2) + 0 AS difference_pct
FROM v_energy_monthly
WHERE month = DATE '2021-10-01'
ORDER BY plant_name
