-- On which days did a plant produce nothing while it should have?
-- report
SELECT local_date, plant_name, round(availability_time, 4) AS availability_time,
    round(availability_energy, 4) AS availability_energy
FROM v_kpi_daily
WHERE availability_time < 1
ORDER BY local_date, plant_name
LIMIT 10
