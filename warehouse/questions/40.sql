-- How much energy a day could a battery of each plant move from noon to the evening?
-- detail
-- What is fed in and bought on the same day: the smaller of both is the most that a battery of that plant can move.
-- Days of which more than a hundredth is not covered are left out: their sums would be too small.
WITH days AS (
    SELECT plant_id, plant_name, local_date, sum(grid_feed_in_kwh) AS fed_in_kwh,
        sum(grid_consumption_kwh) FILTER (hour(local_start) >= 15) AS bought_kwh
    FROM v_energy_quarter_hourly
    WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31'
    GROUP BY ALL
    HAVING least(sum(grid_feed_in_covered_h), sum(grid_consumption_covered_h)) >= 0.99 * count(*) / 4
)
SELECT plant_name, round(avg(least(fed_in_kwh, bought_kwh)), 2) AS movable_kwh_a_day
FROM days
WHERE fed_in_kwh IS NOT NULL AND bought_kwh IS NOT NULL
GROUP BY plant_id, plant_name
ORDER BY plant_name, plant_id
