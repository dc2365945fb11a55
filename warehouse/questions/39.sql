-- What was set aside, and why?
-- report
-- Nothing of the demo was set aside, so this has no rows there.
SELECT plant_name, reason, kept, CAST(sum(n_found) AS BIGINT) AS n_found, min(first_day) AS first_day, max(last_day) AS last_day
FROM v_quarantine_by_reason
GROUP BY plant_id, plant_name, reason, kept
ORDER BY n_found DESC, plant_name, reason, kept, plant_id
LIMIT 10
