-- Which inverter falls behind the others of its plant?
-- report
SELECT plant_name, device_name, count(*) AS n_days, round(avg(relative_yield), 3) AS mean_relative_yield
FROM v_inverters_daily
WHERE relative_yield IS NOT NULL AND local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31'
GROUP BY plant_id, device_id, plant_name, device_name
ORDER BY mean_relative_yield, plant_name, device_name, plant_id, device_id
LIMIT 10
