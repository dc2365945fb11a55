-- How many days of the month were clear at each plant?
-- report
SELECT plant_name, count(*) FILTER (is_clear) AS n_clear, count(clearness) AS n_days, round(min(clearness), 2) AS darkest,
    min(clearness_reason) AS reason
FROM v_clearness_daily
WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31'
GROUP BY plant_id, plant_name
ORDER BY plant_name, plant_id
