-- What is the base load of each plant at night?
-- detail
-- The quarter of an hour that is exceeded in 95 % of the night, from 0 to 4 o'clock. A quarter with a data gap has the
-- energy of a part of it, and counts with its mean power.
SELECT plant_name, round(quantile_cont(total_consumption_kwh / total_consumption_covered_h, 0.05), 3) AS base_load_kw
FROM v_energy_quarter_hourly
WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31' AND hour(local_start) < 4
    AND total_consumption_covered_h > 0
GROUP BY plant_id, plant_name
ORDER BY plant_name, plant_id
