-- How does each month compare with the year before, on the same days of the same plants?
-- report
-- The demo has one month of one year, so this has no rows there.
SELECT month, scope, coalesce(plant_name, plant_group) AS of, n_days, round(pv_generation_kwh, 1) AS pv_kwh,
    round(pv_generation_before_kwh, 1) AS before_kwh, round(100 * pv_generation_change, 1) AS change_pct
FROM v_months_like_for_like
ORDER BY month, scope, of
