-- view
-- Batteries of each plant and month: full cycles, and the round-trip efficiency as AC energy out by AC energy in (EnergyBalance). Only days on which both charging and discharging were measured count. Where the capacity in plant_attributes and the state of charge are known, what the battery holds more or less after these days is taken into account.
-- Key: plant_id, month.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave.
-- month: First day of the calendar month.
-- n_days: Days on which charging and discharging were measured. Unit: count.
-- battery_charging_kwh: Battery charging on these days. Unit: kWh.
-- battery_discharging_kwh: Battery discharging on these days. Unit: kWh.
-- battery_capacity_kwh: Usable capacity by plant_attributes. Unit: kWh. Null: the file does not give it.
-- full_cycles: Discharged energy by the capacity. Unit: 1. Null: the capacity is not known.
-- state_of_charge_begin_pct: State of charge at the first row of the month that has one. Unit: %. Null: not reported.
-- state_of_charge_end_pct: State of charge at the last row of the month that has one. Unit: %. Null: not reported.
-- stored_kwh: Energy that the battery holds more at the end of these days than at their beginning, each row of days by itself, by the state of charge and the capacity. Unit: kWh. Null: one of them is not known.
-- round_trip_efficiency: Discharged energy by charged energy less stored_kwh. Unit: 1. Null: see round_trip_reason.
-- round_trip_basis: state_of_charge (stored_kwh was taken into account) or energy (it is not known; the shorter the time, the less certain is the efficiency). Null: see round_trip_reason.
-- round_trip_reason: Why there is no efficiency: no_charging (less than one kWh was charged), contradictory (it would be above 1). Null: there is one.
-- plant_group: Group of the plant by plant_attributes. Null: none.
WITH moves AS (
-- shared: plant_moves
), counted_days AS (
    SELECT
        plant_id,
        local_date,
        battery_charging_kwh,
        battery_discharging_kwh,
        -- Days in a row of one month have the same one.
        local_date - CAST(row_number() OVER (PARTITION BY plant_id, month_of(local_date) ORDER BY local_date) AS INTEGER) AS run
    FROM energy_daily
    LEFT JOIN plants USING (plant_id)
    WHERE battery_charging_kwh IS NOT NULL AND battery_discharging_kwh IS NOT NULL
        AND (excluded_from IS NULL OR local_date < excluded_from)
), measured AS (
    SELECT
        plant_id,
        month_of(local_date) AS month,
        count(*) AS n_days,
        sum(battery_charging_kwh) AS battery_charging_kwh,
        sum(battery_discharging_kwh) AS battery_discharging_kwh
    FROM counted_days
    GROUP BY ALL
), charge AS (
    -- Intervals of a plant that moved keep the id that it had then; its days have the newest one.
    SELECT
        coalesce(moves.newest_id, intervals.plant_id) AS plant_id,
        intervals.local_date,
        arg_min(intervals.battery_state_of_charge_pct, intervals.interval_end) AS first_pct,
        arg_max(intervals.battery_state_of_charge_pct, intervals.interval_end) AS last_pct
    FROM energy_balance_intervals AS intervals
    LEFT JOIN moves ON moves.former_id = intervals.plant_id
    LEFT JOIN plants ON plants.plant_id = coalesce(moves.newest_id, intervals.plant_id)
    WHERE intervals.battery_state_of_charge_pct IS NOT NULL
        AND (plants.excluded_from IS NULL OR intervals.local_date < plants.excluded_from)
    GROUP BY ALL
), held AS (
    SELECT
        plant_id,
        month_of(local_date) AS month,
        arg_min(first_pct, local_date) AS begin_pct,
        arg_max(last_pct, local_date) AS end_pct
    FROM charge
    GROUP BY ALL
), runs AS (
    -- What a battery takes or gives on days that are not counted is no part of what they hold more.
    SELECT
        plant_id,
        month_of(local_date) AS month,
        min(local_date) AS first_day,
        arg_min(first_pct, local_date) AS first_pct,
        arg_max(last_pct, local_date) AS last_pct
    FROM counted_days
    LEFT JOIN charge USING (plant_id, local_date)
    GROUP BY plant_id, month, run
), changes AS (
    SELECT
        runs.plant_id,
        runs.month,
        sum(runs.last_pct - coalesce(before.last_pct, runs.first_pct)) AS more_pct,
        bool_and(runs.last_pct IS NOT NULL) AS is_known
    FROM runs
    LEFT JOIN charge AS before ON before.plant_id = runs.plant_id AND before.local_date = runs.first_day - 1
    GROUP BY ALL
), counted AS (
    SELECT
        measured.*,
        plants.name AS plant_name,
        attributes.battery_capacity_kwh,
        attributes.plant_group,
        held.begin_pct,
        held.end_pct,
        CASE WHEN changes.is_known THEN changes.more_pct / 100 * attributes.battery_capacity_kwh END AS stored_kwh,
        battery_discharging_kwh / nullif(battery_charging_kwh - coalesce(stored_kwh, 0), 0) AS efficiency,
        CASE WHEN battery_charging_kwh < 1 THEN 'no_charging' WHEN efficiency > 1 OR efficiency <= 0 THEN 'contradictory' END AS reason
    FROM measured
    LEFT JOIN plants ON plants.plant_id = measured.plant_id
    LEFT JOIN plant_attributes AS attributes ON attributes.plant_id = measured.plant_id
    LEFT JOIN held ON held.plant_id = measured.plant_id AND held.month = measured.month
    LEFT JOIN changes ON changes.plant_id = measured.plant_id AND changes.month = measured.month
)
SELECT
    plant_id,
    plant_name,
    month,
    n_days,
    battery_charging_kwh,
    battery_discharging_kwh,
    battery_capacity_kwh,
    battery_discharging_kwh / nullif(battery_capacity_kwh, 0) AS full_cycles,
    begin_pct AS state_of_charge_begin_pct,
    end_pct AS state_of_charge_end_pct,
    stored_kwh,
    CASE WHEN reason IS NULL THEN efficiency END AS round_trip_efficiency,
    CASE WHEN reason IS NOT NULL THEN NULL WHEN stored_kwh IS NULL THEN 'energy' ELSE 'state_of_charge' END AS round_trip_basis,
    reason AS round_trip_reason,
    plant_group
FROM counted
ORDER BY month, plant_name, plant_id
