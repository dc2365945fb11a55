-- When does the fleet make its energy, by the hour of the plants' clocks?
-- report
SELECT local_hour, round(pv_generation_kwh, 1) AS pv_kwh, round(pv_generation_covered_h, 1) AS covered_h
FROM v_profile_monthly_by_fleet
WHERE month = DATE '2021-10-01' AND pv_kwh > 0
ORDER BY local_hour
