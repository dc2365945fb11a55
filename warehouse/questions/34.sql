-- Does a plant lose yield from week to week, judged on clear days alone?
-- report
-- A single month shows how the question is asked. The season bends the ratio as well: judge by whole years, or by the
-- same weeks of two years.
SELECT plant_name, count(*) AS n_clear_days,
    round(100 * regr_slope(performance_ratio_clear_sky, epoch(local_date) / 604800) / avg(performance_ratio_clear_sky), 2)
        AS change_pct_a_week
FROM v_clearness_daily
WHERE is_clear
GROUP BY plant_id, plant_name
HAVING n_clear_days >= 5
ORDER BY plant_name, plant_id
