-- For how many quarters of an hour is there no data?
-- detail
SELECT plant_name, count(*) AS n_quarters, count(*) FILTER (covered_h = 0) AS n_without_data
FROM v_energy_quarter_hourly
WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2025-12-31'
GROUP BY plant_id, plant_name
ORDER BY plant_name, plant_id
