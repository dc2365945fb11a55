-- table
-- One row for each plant: which days the warehouse holds, how complete they are, and the total energy. Plants without any day are listed too. A plant that moved is listed once, by its newest id.
-- Key: plant_id.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave.
-- timezone: IANA time zone.
-- peak_power_kw: DC peak power. Unit: kW. Null: not known.
-- first_day: First day in the warehouse. Null: no day yet.
-- first_day_with_data: First day with at least one row. Null: no such day.
-- last_day: Latest day in the warehouse. Null: no day yet.
-- last_day_with_data: Latest day with at least one row. Null: no such day; check the owner's consent, or ask SMA about the plant.
-- best_day: Day with the most PV generation; of equal days, the first one. Null: nothing measured.
-- best_day_pv_generation_kwh: PV generation of that day. Unit: kWh. Null: nothing measured.
-- best_day_coverage: Share of the expected time that is covered by rows with a value on that day. Unit: 1. Null: nothing measured.
-- n_days: Days in the warehouse. Unit: count.
-- n_days_complete: Days in the warehouse without a data gap. Unit: count.
-- n_days_missing: Days in the warehouse without any row. Unit: count.
-- coverage: Covered time divided by expected time, over all days. Unit: 1. Null: nothing was expected.
-- pv_generation_kwh: PV generation over all days. Unit: kWh. Null: nothing measured.
-- grid_feed_in_kwh: Feed-in to the grid over all days. Unit: kWh. Null: nothing measured.
-- grid_consumption_kwh: Consumption from the grid over all days. Unit: kWh. Null: nothing measured.
-- plant_group: Group of the plant by plant_attributes. Null: none.
-- owner: Owner of the plant, by plant_attributes. Null: not given.
-- region: Region of the plant, by plant_attributes. Null: not given.
-- tariff: Name of the plant's tariff, by plant_attributes. Null: none.
WITH moves AS (
-- shared: plant_moves
), held AS (
    SELECT energy.*
    FROM energy_daily AS energy
    LEFT JOIN plants ON plants.plant_id = energy.plant_id
    WHERE plants.excluded_from IS NULL OR energy.local_date < plants.excluded_from
), most AS (
    SELECT plant_id, max(pv_generation_kwh) AS pv_generation_kwh
    FROM held
    GROUP BY plant_id
), best AS (
    SELECT held.plant_id, min(held.local_date) AS local_date, min_by(held.coverage, held.local_date) AS coverage
    FROM held
    JOIN most ON most.plant_id = held.plant_id AND most.pv_generation_kwh = held.pv_generation_kwh
    GROUP BY held.plant_id
)
SELECT
    plants.plant_id,
    plants.name AS plant_name,
    plants.timezone,
    plants.peak_power_kw,
    min(energy.local_date) AS first_day,
    min(energy.local_date) FILTER (WHERE energy.n_rows > 0) AS first_day_with_data,
    max(energy.local_date) AS last_day,
    max(energy.local_date) FILTER (WHERE energy.n_rows > 0) AS last_day_with_data,
    best.local_date AS best_day,
    max(energy.pv_generation_kwh) AS best_day_pv_generation_kwh,
    best.coverage AS best_day_coverage,
    count(energy.local_date) AS n_days,
    count(*) FILTER (WHERE energy.status = 'complete') AS n_days_complete,
    count(*) FILTER (WHERE energy.status = 'missing') AS n_days_missing,
    exact_sum(energy.covered_h) / nullif(exact_sum(energy.expected_h), 0) AS coverage,
    exact_sum(energy.pv_generation_kwh) AS pv_generation_kwh,
    exact_sum(energy.grid_feed_in_kwh) AS grid_feed_in_kwh,
    exact_sum(energy.grid_consumption_kwh) AS grid_consumption_kwh,
    attributes.plant_group,
    attributes.owner,
    attributes.region,
    attributes.tariff
FROM plants
LEFT JOIN plant_attributes AS attributes ON attributes.plant_id = plants.plant_id
LEFT JOIN best ON best.plant_id = plants.plant_id
LEFT JOIN held AS energy ON energy.plant_id = plants.plant_id
-- Plants that the settings exclude on all days are not listed.
WHERE (plants.excluded_from IS NULL OR plants.excluded_from > DATE '1970-01-01')
    -- An id of before a move has no days of its own.
    AND (energy.plant_id IS NOT NULL OR plants.plant_id NOT IN (SELECT former_id FROM moves))
GROUP BY ALL
ORDER BY plant_name, plants.plant_id
