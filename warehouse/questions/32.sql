-- Which string falls behind its own usual share?
-- detail
-- The demo does not ask for the set PowerDc, so this has no rows there.
SELECT plant_name, device_name, input_index, count(*) AS n_days, round(avg(relative_yield), 3) AS mean_relative_yield
FROM v_strings_daily
WHERE relative_yield IS NOT NULL
GROUP BY plant_id, device_id, input_index, plant_name, device_name
ORDER BY mean_relative_yield, plant_name, device_name, plant_id, device_id, input_index
LIMIT 10
