-- How did the power of a plant go through a day, by its own clock?
-- detail
SELECT local_start, round(pv_generation_w) AS pv_w
FROM v_power
WHERE plant_id = '900001' AND local_date = DATE '2021-10-06' AND local_start >= TIMESTAMP '2021-10-06 12:00'
ORDER BY local_start
LIMIT 10
