-- What does an average day of a plant look like, hour by hour?
-- report
SELECT local_hour, round(pv_generation_w) AS mean_pv_w
FROM v_profile_monthly
WHERE plant_id = '900001' AND month = DATE '2021-10-01' AND mean_pv_w > 0
ORDER BY local_hour
