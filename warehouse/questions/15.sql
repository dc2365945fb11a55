-- What went into the grid and came out of it?
-- report
SELECT plant_name, round(grid_feed_in_kwh, 1) AS feed_in_kwh, round(grid_consumption_kwh, 1) AS bought_kwh,
    round(coverage, 3) AS coverage
FROM v_energy_monthly
WHERE month = DATE '2021-10-01' AND grid_feed_in_kwh IS NOT NULL
ORDER BY plant_name
