-- Which events do the plants report most, and how long do they last?
-- report
-- Where the duration is not known, duration_reason says why.
SELECT level, message, count(*) AS n_entries, round(sum(duration_h), 2) AS hours, min(duration_reason) AS duration_reason
FROM v_logs
GROUP BY level, message
ORDER BY n_entries DESC, message
