-- view
-- DC energy of each input of each inverter and day (set PowerDc) beside the other inputs of the inverter. The inputs may be of different size and direction, so an input is compared with its own usual share: a low relative_yield points to a fault, shade or dirt of this string alone.
-- Key: plant_id, device_id, input_index, local_date.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave.
-- device_id: Inverter's id.
-- device_name: Name that the owner gave. Null: not given.
-- input_index: DC input of the inverter, as the API names it: A, B ….
-- local_date: Calendar day in the plant's own time zone.
-- dc_energy_kwh: DC energy of the input. Unit: kWh. Null: nothing measured.
-- covered_h: Time that it covers. Unit: h.
-- share_of_inverter: Share in the DC energy of all inputs of the inverter. Unit: 1. Null: an input lacks rows on that day, or there is hardly any energy (below 0.1 kWh).
-- usual_share: Median of that share on the days of the 30 days before. Unit: 1. Null: fewer than 5 of them have one.
-- relative_yield: Share divided by the usual share; 0.9: the string gives 10 % less than usual beside the others. Unit: 1. Null: one of them is not known.
WITH moves AS (
-- shared: plant_moves
), days AS (
    SELECT
        plant_id,
        -- Intervals of a plant that moved keep the id that it had then.
        coalesce(moves.newest_id, plant_id) AS newest_id,
        device_id,
        input_index,
        local_date,
        sum(dc_power_input_kwh) AS kwh,
        coalesce(sum(epoch(interval_end) - epoch(interval_start)) FILTER (dc_power_input_kwh IS NOT NULL), 0) / 3600 AS covered_h
    FROM dc_intervals
    LEFT JOIN moves ON moves.former_id = plant_id
    GROUP BY ALL
), shares AS (
    SELECT *, CASE
        WHEN min(covered_h) OVER inverter >= 0.95 * max(covered_h) OVER inverter AND sum(kwh) OVER inverter >= 0.1
        THEN kwh / sum(kwh) OVER inverter
    END AS share
    FROM days
    WINDOW inverter AS (PARTITION BY plant_id, device_id, local_date)
), compared AS (
    SELECT *, CASE WHEN count(share) OVER before >= 5 THEN median(share) OVER before END AS usual_share
    FROM shares
    WINDOW before AS (
        PARTITION BY newest_id, device_id, input_index ORDER BY local_date
        RANGE BETWEEN INTERVAL 30 DAY PRECEDING AND INTERVAL 1 DAY PRECEDING
    )
)
SELECT
    compared.plant_id,
    plants.name AS plant_name,
    compared.device_id,
    devices.name AS device_name,
    compared.input_index,
    compared.local_date,
    compared.kwh AS dc_energy_kwh,
    compared.covered_h,
    compared.share AS share_of_inverter,
    compared.usual_share,
    compared.share / nullif(compared.usual_share, 0) AS relative_yield
FROM compared
LEFT JOIN plants ON plants.plant_id = compared.plant_id
LEFT JOIN devices ON devices.plant_id = compared.plant_id AND devices.device_id = compared.device_id
LEFT JOIN plants AS present ON present.plant_id = compared.newest_id
WHERE present.excluded_from IS NULL OR compared.local_date < present.excluded_from
ORDER BY compared.local_date, plant_name, compared.device_id, compared.input_index
