-- How did the power of a plant go through a day, by its own clock?
-- detail
SELECT local_start, round(pv_generation_w) AS pv_w
FROM power_of_day('900001', DATE '2021-10-06')
WHERE local_start >= TIMESTAMP '2021-10-06 12:00'
ORDER BY local_start
LIMIT 10
