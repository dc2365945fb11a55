-- table
-- Days of your plants that need a look: partial, missing or provisional days, days with values that were set aside or are suspicious, and days that were cut by a time zone that has been corrected since then. A day that was never fetched has no row, here as in energy_daily. Newest first.
-- Key: plant_id, local_date.
--
-- local_date: Calendar day in the plant's own time zone.
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave.
-- status: complete, partial (rows, or values of PV or of the meter, are missing), missing (no row at all) or provisional (may still change).
-- missing_h: Expected time that is not covered by rows with a value. Unit: h.
-- largest_gap_min: Longest expected time without a row. Unit: min.
-- coverage: Share of the expected time that is covered. Unit: 1. Null: nothing was expected.
-- n_rows: Rows stored. Unit: count.
-- n_flagged: Rows with a value that was set aside. Unit: count.
-- n_suspect: Rows with a value that is suspicious but was kept. Unit: count.
-- reasons: Why data of the plant or its devices was set aside or is suspicious on that day, without the reasons that need no action: an inverter's own consumption (standby) and the row that ends the day before (day_before); other_timezone: the plant's time zone was corrected after the day was made. Null: no such reason.
-- pv_generation_kwh: PV generation from the values that were not set aside. Unit: kWh. Null: nothing measured.
-- inverters_pv_generation_kwh: PV generation by the plant's inverters, which may exceed the plant's own figure where that has gaps. Unit: kWh. Null: no inverter has a value.
-- plant_group: Group of the plant by plant_attributes. Null: none.
WITH found AS (
    SELECT plant_id, local_date, reason FROM quarantine
    UNION ALL
    SELECT energy.plant_id, energy.local_date, 'other_timezone'
    FROM energy_daily AS energy
    JOIN plants ON plants.plant_id = energy.plant_id
    WHERE coalesce(energy.timezone, plants.previous_timezone) <> plants.timezone
), set_aside AS (
    SELECT plant_id, local_date, string_agg(DISTINCT reason, ', ' ORDER BY reason) AS reasons
    FROM found
    WHERE reason NOT IN ('standby', 'day_before')
    GROUP BY plant_id, local_date
), inverters AS (
-- shared: inverters_daily
)
SELECT
    energy.local_date,
    energy.plant_id,
    plants.name AS plant_name,
    energy.status,
    greatest(energy.expected_h - energy.covered_h, 0) AS missing_h,
    energy.largest_gap_min,
    energy.coverage,
    energy.n_rows,
    energy.n_flagged,
    energy.n_suspect,
    set_aside.reasons,
    energy.pv_generation_kwh,
    inverters.pv_generation_kwh AS inverters_pv_generation_kwh,
    attributes.plant_group
FROM energy_daily AS energy
LEFT JOIN plants ON plants.plant_id = energy.plant_id
LEFT JOIN plant_attributes AS attributes ON attributes.plant_id = energy.plant_id
LEFT JOIN inverters ON inverters.plant_id = energy.plant_id AND inverters.local_date = energy.local_date
LEFT JOIN set_aside ON set_aside.plant_id = energy.plant_id AND set_aside.local_date = energy.local_date
WHERE (energy.status <> 'complete' OR energy.n_flagged > 0 OR set_aside.reasons IS NOT NULL)
    AND (plants.excluded_from IS NULL OR energy.local_date < plants.excluded_from)
ORDER BY energy.local_date DESC, plant_name, energy.plant_id
