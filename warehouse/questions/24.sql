-- How much energy does a day have by the plant's calendar, and by that of UTC?
-- detail
-- A cast of quarter_start to DATE would give the day of the reader's session, which differs from machine to machine.
SELECT local_date, round(sum(pv_generation_kwh), 3) AS local_day_kwh, round(any_value(utc_kwh), 3) AS utc_day_kwh
FROM v_energy_quarter_hourly
LEFT JOIN (
    SELECT utc_day(quarter_start) AS local_date, sum(pv_generation_kwh) AS utc_kwh
    FROM v_energy_quarter_hourly
    WHERE plant_id = '900001'
    GROUP BY ALL
) AS utc USING (local_date)
WHERE plant_id = '900001' AND local_date BETWEEN DATE '2021-10-04' AND DATE '2021-10-08'
GROUP BY local_date
ORDER BY local_date
