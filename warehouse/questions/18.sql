-- What is the highest power that each plant fed in, and when?
-- detail
WITH peaks AS (
    -- Of equal ones the first.
    SELECT plant_id, max(grid_feed_in_w) AS peak_w, min_by(interval_end, (-grid_feed_in_w, interval_end)) AS peak_end
    FROM energy_balance_intervals
    WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31' AND grid_feed_in_w > 0
    GROUP BY plant_id
)
SELECT plants.name AS plant_name, round(peak_w) AS peak_w, local_time(peak_end, plants.timezone) AS local_end
FROM peaks
JOIN plants USING (plant_id)
ORDER BY plant_name
