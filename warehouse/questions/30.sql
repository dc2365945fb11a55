-- How long was each plant at its AC power, and what did that cost?
-- detail
SELECT plant_name, round(sum(clipped_h), 2) AS clipped_h, round(sum(energy_above_limit_kwh), 2) AS above_limit_kwh,
    min(clipping_reason) AS reason
FROM v_clipping_daily
WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31'
GROUP BY plant_id, plant_name
ORDER BY clipped_h DESC, plant_name
