-- Which days are not complete, and how much is missing?
-- report
SELECT local_date, plant_name, status, round(missing_h, 2) AS missing_h, round(largest_gap_min) AS largest_gap_min
FROM v_days_to_check
WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2025-12-31'
ORDER BY local_date, plant_name
LIMIT 10
