-- How much energy does a day have by the plant's calendar, and by that of UTC?
-- detail
-- DATE(quarter_start) would be the day of the reader's own session, whatever that is.
SELECT local_date, round(sum(pv_generation_kwh), 3) AS local_day_kwh, round(any_value(utc_kwh), 3) AS utc_day_kwh
FROM v_energy_quarter_hourly
LEFT JOIN (
    SELECT CAST(timezone('UTC', quarter_start) AS DATE) AS local_date, sum(pv_generation_kwh) AS utc_kwh
    FROM v_energy_quarter_hourly
    WHERE plant_id = '900001'
    GROUP BY ALL
) AS utc USING (local_date)
WHERE plant_id = '900001' AND local_date BETWEEN DATE '2021-10-04' AND DATE '2021-10-08'
GROUP BY local_date
ORDER BY local_date
