-- From when to when is there data of each plant, and how good is it?
-- report
SELECT plant_name, first_day_with_data, last_day_with_data, n_days, n_days_complete, n_days_missing
FROM v_plants_energy
ORDER BY plant_name
