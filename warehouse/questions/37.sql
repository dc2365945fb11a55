-- When is the whole fleet's highest feed-in, and who makes it?
-- detail
WITH quarters AS (
    SELECT quarter_start, sum(grid_feed_in_kwh) * 4 AS kw
    FROM v_energy_quarter_hourly
    WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31'
    GROUP BY ALL
)
SELECT timezone('UTC', quarter_start) AS utc_start, plant_name, round(4 * grid_feed_in_kwh, 2) AS plant_kw, round(kw, 2) AS fleet_kw
FROM v_energy_quarter_hourly
JOIN (SELECT quarter_start, kw FROM quarters ORDER BY round(kw, 6) DESC NULLS LAST, quarter_start LIMIT 1) AS peak USING (quarter_start)
WHERE grid_feed_in_kwh > 0
ORDER BY plant_kw DESC, plant_name
