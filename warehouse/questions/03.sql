-- What did one plant make, day by day?
-- report
SELECT local_date, round(pv_generation_kwh, 2) AS pv_kwh, status
FROM v_energy_daily
WHERE plant_id = '900001' AND local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-10'
ORDER BY local_date
