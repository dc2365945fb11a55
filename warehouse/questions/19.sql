-- When does the fleet make its energy, by the hour of the plants' clocks?
-- detail
WITH quarters AS (
    -- Sums first: to turn every row into local time would cost more than all the rest.
    SELECT timezone, epoch_ms(interval_start) // 900000 AS quarter, sum(pv_generation_kwh) AS kwh
    FROM energy_balance_intervals
    JOIN plants USING (plant_id)
    WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31'
    GROUP BY ALL
)
SELECT hour(local_time(to_timestamp(quarter * 900), timezone)) AS local_hour, round(sum(kwh), 1) AS pv_kwh
FROM quarters
GROUP BY local_hour
HAVING pv_kwh > 0
ORDER BY local_hour
