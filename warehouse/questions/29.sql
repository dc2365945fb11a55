-- How much energy was lost by faults, and by which reference?
-- detail
-- The events of the demo come and are gone in one entry, so this has no rows there.
SELECT plant_name, device_name, came_at_local, round(duration_h, 2) AS hours, message,
    round(lost_kwh, 2) AS lost_kwh, lost_energy_reference, lost_energy_reason
FROM v_lost_energy
WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31'
ORDER BY lost_kwh DESC NULLS LAST, came_at_local, plant_name
LIMIT 10
