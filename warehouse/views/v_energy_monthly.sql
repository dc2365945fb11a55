-- table
-- Energy of each plant and month with the plant's name and its yield per installed power.
-- Key: plant_id, month.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave.
-- month: First day of the calendar month.
-- status: complete, partial (rows or days are missing), missing (no row at all) or provisional (may still change).
-- n_days: Days of the month that the warehouse holds; energy and coverage are of these days alone. Unit: count.
-- n_days_missing: Days in the warehouse without any row. Unit: count.
-- coverage: Share of the expected time of the stored days that is covered by rows with a value, including the night where there is a meter. Unit: 1. Null: nothing was expected.
-- pv_generation_coverage: Share of the time between sunrise and sunset that is covered by values of PV generation, over the days as they are now. Unit: 1. Null: no PV was expected, or stored before this was counted.
-- bridged_h: Time to which a later row's power was applied, because rows before that row may be missing. Unit: h. Null: stored before this was counted.
-- pv_generation_kwh: PV generation. Unit: kWh. Null: nothing measured (not the same as zero).
-- inverters_pv_generation_kwh: PV generation by the plant's inverters over the days as they are now, each with its own gaps. Unit: kWh. Null: no inverter has a value.
-- vendor_pv_generation_kwh: PV generation as the sum of SMA's own figures of the month's days. Unit: kWh. Null: the month was not reconciled, or SMA has no figure.
-- specific_yield_kwh_per_kw: PV generation per kW of the DC peak power of kpi_monthly. Unit: kWh/kW. Null: nothing measured, or peak power not known.
-- self_consumption_kwh: Own generation used on site. Unit: kWh. Null: nothing measured.
-- grid_feed_in_kwh: Feed-in to the grid. Unit: kWh. Null: nothing measured.
-- grid_consumption_kwh: Consumption from the grid. Unit: kWh. Null: nothing measured.
-- total_consumption_kwh: Total consumption. Unit: kWh. Null: nothing measured.
-- battery_charging_kwh: Battery charging. Unit: kWh. Null: no battery, or nothing measured.
-- battery_discharging_kwh: Battery discharging. Unit: kWh. Null: no battery, or nothing measured.
-- closed_at: When the month was closed; its figures stay unchanged since then. Null: the month is open.
-- pv_generation_adjustment_kwh: Present sum of the month's days minus the closed PV generation. Unit: kWh. Null: the two are equal, or the month is open.
-- plant_group: Group of the plant by plant_attributes. Null: none.
-- expected_kwh: PV generation that you expect in the whole month, by plant_attributes. Unit: kWh. Null: not given.
-- share_of_expected: PV generation divided by expected_kwh. Unit: 1. Null: not given, or not all days of the month are stored and complete.
WITH moves AS (
-- shared: plant_moves
), source AS (
    FROM energy_monthly
), months AS (
-- shared: months_of_moved
), pv AS (
-- shared: pv_coverage_monthly
), inverters AS (
    SELECT plant_id, month_of(local_date) AS month, exact_sum(pv_generation_kwh) AS pv_generation_kwh
    FROM device_energy_daily
    LEFT JOIN plants USING (plant_id)
    WHERE device_id <> plant_id
        AND (
            excluded_from IS NULL
            OR local_date < excluded_from
            OR month_of(local_date) IN (SELECT month FROM energy_monthly WHERE closed_at IS NOT NULL)
        )
    GROUP BY ALL
), vendor AS (
    -- A comparison that was not made since a move has an id of before, too.
    SELECT present_id AS plant_id, month, arg_min(vendor_kwh, n_moves) AS vendor_kwh
    FROM (
        SELECT
            coalesce(moves.newest_id, found.plant_id) AS present_id,
            found.month,
            coalesce(moves.n_moves, 0) AS n_moves,
            -- An open month has the days before its plant is excluded, and may have been compared before that was set.
            CASE WHEN any_value(plants.excluded_from) <= last_day(found.month)
                AND found.month NOT IN (SELECT month FROM energy_monthly WHERE closed_at IS NOT NULL)
                THEN exact_sum(found.vendor_kwh) FILTER (WHERE found.period = 'day' AND found.local_date < plants.excluded_from)
                ELSE max(found.vendor_kwh) FILTER (WHERE found.period = 'month')
            END AS vendor_kwh
        FROM reconciliation AS found
        LEFT JOIN moves ON moves.former_id = found.plant_id
        LEFT JOIN plants ON plants.plant_id = coalesce(moves.newest_id, found.plant_id)
        WHERE found.quantity = 'pv_generation'
        GROUP BY found.plant_id, found.month, moves.newest_id, moves.n_moves
    )
    GROUP BY ALL
)
SELECT
    energy.plant_id,
    plants.name AS plant_name,
    energy.month,
    energy.status,
    energy.n_days,
    energy.n_days_missing,
    energy.coverage,
    pv.coverage AS pv_generation_coverage,
    energy.bridged_h,
    energy.pv_generation_kwh,
    inverters.pv_generation_kwh AS inverters_pv_generation_kwh,
    vendor.vendor_kwh AS vendor_pv_generation_kwh,
    energy.pv_generation_kwh / nullif(coalesce(kpi.peak_power_kw, plants.peak_power_kw), 0) AS specific_yield_kwh_per_kw,
    energy.self_consumption_kwh,
    energy.grid_feed_in_kwh,
    energy.grid_consumption_kwh,
    energy.total_consumption_kwh,
    energy.battery_charging_kwh,
    energy.battery_discharging_kwh,
    energy.closed_at,
    adjustments.difference_kwh AS pv_generation_adjustment_kwh,
    attributes.plant_group,
    CASE month(CASE WHEN energy.days_id IS NOT NULL THEN energy.month END)
        WHEN 1 THEN attributes.expected_01_kwh
        WHEN 2 THEN attributes.expected_02_kwh
        WHEN 3 THEN attributes.expected_03_kwh
        WHEN 4 THEN attributes.expected_04_kwh
        WHEN 5 THEN attributes.expected_05_kwh
        WHEN 6 THEN attributes.expected_06_kwh
        WHEN 7 THEN attributes.expected_07_kwh
        WHEN 8 THEN attributes.expected_08_kwh
        WHEN 9 THEN attributes.expected_09_kwh
        WHEN 10 THEN attributes.expected_10_kwh
        WHEN 11 THEN attributes.expected_11_kwh
        WHEN 12 THEN attributes.expected_12_kwh
    END AS expected_kwh,
    CASE WHEN energy.status = 'complete' AND energy.n_days = day(last_day(energy.month))
        THEN energy.pv_generation_kwh / nullif(expected_kwh, 0)
    END AS share_of_expected
FROM months AS energy
LEFT JOIN plants ON plants.plant_id = energy.present_id
LEFT JOIN plant_attributes AS attributes ON attributes.plant_id = energy.present_id
LEFT JOIN kpi_monthly AS kpi ON kpi.plant_id = energy.plant_id AND kpi.month = energy.month
LEFT JOIN pv ON pv.plant_id = energy.days_id AND pv.month = energy.month
LEFT JOIN inverters ON inverters.plant_id = energy.days_id AND inverters.month = energy.month
LEFT JOIN vendor ON vendor.plant_id = energy.days_id AND vendor.month = energy.month
LEFT JOIN adjustments
    ON adjustments.plant_id = energy.plant_id
    AND adjustments.month = energy.month
    AND adjustments.quantity = 'pv_generation'
ORDER BY energy.month, plant_name, energy.plant_id
