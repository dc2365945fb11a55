-- What does an average day of a plant look like, hour by hour?
-- detail
SELECT hour(local_start) AS local_hour, round(avg(pv_generation_w)) AS mean_pv_w
FROM v_power
WHERE plant_id = '900001' AND local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31'
GROUP BY local_hour
HAVING mean_pv_w > 0
ORDER BY local_hour
