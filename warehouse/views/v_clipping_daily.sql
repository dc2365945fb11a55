-- view
-- Time that each plant spent at its AC power on each day, and an estimate of the energy above it. A quarter of an hour is clipped where the mean PV power of its covered time, which is half of it at least, is 98.5 % of the AC power or more. What the modules would have given there follows from a cloudless sky, in the proportion of the last quarter before and the first one after that are not clipped, on that plane (flat, or leaning 15, 30 or 45 degrees towards the equator) which fits the rest of the day best. Limits of the grid operator are in grid_settings_intervals and not in here.
-- Key: plant_id, local_date.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave.
-- local_date: Calendar day in the plant's own time zone.
-- ac_power_kw: Nominal AC power of the plant on the day. Unit: kW. Null: not given.
-- pv_generation_kwh: PV generation of the day. Unit: kWh. Null: nothing measured.
-- clipped_h: Time at the AC power, in whole quarters of an hour. Unit: h. Null: see clipping_reason.
-- energy_above_limit_kwh: Estimate of the energy that the limit took. Unit: kWh. Null: see clipping_reason.
-- is_estimate: Always true: energy above the limit can't be measured.
-- clipping_reason: Why a figure is missing: not_measured, no_ac_power, no_coordinates or always_clipped (fewer than two quarters of the day are below the limit and above a fifth of it): the time is known, the energy is not. Null: both figures are known.
-- plant_group: Group of the plant by plant_attributes. Null: none.
WITH quarters AS (
    SELECT
        energy.plant_id,
        energy.local_date,
        energy.quarter_start,
        energy.pv_generation_kwh AS kwh,
        -- The energy of the whole quarter at its mean power; of a few minutes nothing follows for the others.
        CASE WHEN energy.pv_generation_covered_h >= 0.125
            THEN 0.25 * energy.pv_generation_kwh / energy.pv_generation_covered_h
        END AS quarter_kwh,
        plants.latitude,
        plants.longitude,
        rated_power(plants.ac_power_kw, plants.former_powers, 'ac_power_kw', energy.local_date) AS rated_kw,
        rated_kw / 4 AS most_kwh,
        quarter_kwh >= 0.985 * nullif(rated_kw, 0) / 4 AS is_clipped
    FROM energy_quarter_hourly AS energy
    LEFT JOIN plants ON plants.plant_id = energy.plant_id
    WHERE plants.excluded_from IS NULL OR energy.local_date < plants.excluded_from
), days AS (
    SELECT
        plant_id,
        local_date,
        any_value(rated_kw) AS ac_power_kw,
        sum(kwh) AS kwh,
        count(*) FILTER (is_clipped) AS n_clipped,
        bool_and(latitude IS NOT NULL AND longitude IS NOT NULL) AS is_placed
    FROM quarters
    GROUP BY ALL
), planes AS (
    -- A plane that leans towards the equator is parallel to the ground so many degrees nearer to it.
    SELECT quarters.*, planes.tilt, clear_sky_w_per_m2(
        quarters.quarter_start + INTERVAL 450 SECOND,
        sign(quarters.latitude) * greatest(abs(quarters.latitude) - planes.tilt, 0),
        quarters.longitude
    ) AS sky
    FROM quarters
    SEMI JOIN (SELECT plant_id, local_date FROM days WHERE n_clipped > 0 AND is_placed) AS clipped
        ON clipped.plant_id = quarters.plant_id AND clipped.local_date = quarters.local_date
    CROSS JOIN (VALUES (0), (15), (30), (45)) AS planes(tilt)
), ratios AS (
    -- Of each plane the same quarters: one whose sun rises later would fit the few that it has best.
    SELECT *, CASE
        WHEN NOT is_clipped AND min(sky) OVER (PARTITION BY plant_id, quarter_start) > 20 AND quarter_kwh > 0.2 * most_kwh THEN quarter_kwh / sky
    END AS ratio
    FROM planes
), fitting AS (
    -- One quarter alone fits each plane. Near the equator several planes are one.
    SELECT plant_id, local_date, tilt
    FROM ratios
    GROUP BY plant_id, local_date, tilt
    HAVING count(ratio) > 1
    QUALIFY row_number() OVER (
        PARTITION BY plant_id, local_date ORDER BY round(stddev_pop(ratio) / avg(ratio), 12), tilt
    ) = 1
), edges AS (
    SELECT ratios.*,
        last_value(ratio IGNORE NULLS) OVER before AS ratio_before,
        last_value(CASE WHEN ratio IS NOT NULL THEN epoch(quarter_start) END IGNORE NULLS) OVER before AS before_s,
        first_value(ratio IGNORE NULLS) OVER after AS ratio_after,
        first_value(CASE WHEN ratio IS NOT NULL THEN epoch(quarter_start) END IGNORE NULLS) OVER after AS after_s
    FROM ratios
    JOIN fitting ON fitting.plant_id = ratios.plant_id AND fitting.local_date = ratios.local_date AND fitting.tilt = ratios.tilt
    WINDOW
        before AS (
            PARTITION BY ratios.plant_id, ratios.local_date ORDER BY quarter_start
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ),
        after AS (
            PARTITION BY ratios.plant_id, ratios.local_date ORDER BY quarter_start
            ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
        )
), estimated AS (
    SELECT plant_id, local_date, sum(greatest(sky * coalesce(
        ratio_before + (ratio_after - ratio_before) * (epoch(quarter_start) - before_s) / (after_s - before_s),
        ratio_before,
        ratio_after
    ) - quarter_kwh, 0)) AS above_kwh
    FROM edges
    WHERE is_clipped
    GROUP BY ALL
), judged AS (
    SELECT days.*, plants.name AS plant_name, estimated.above_kwh, CASE
        WHEN days.kwh IS NULL THEN 'not_measured'
        WHEN coalesce(days.ac_power_kw, 0) <= 0 THEN 'no_ac_power'
        WHEN days.n_clipped > 0 AND NOT days.is_placed THEN 'no_coordinates'
        WHEN days.n_clipped > 0 AND estimated.above_kwh IS NULL THEN 'always_clipped'
    END AS reason
    FROM days
    LEFT JOIN estimated ON estimated.plant_id = days.plant_id AND estimated.local_date = days.local_date
    LEFT JOIN plants ON plants.plant_id = days.plant_id
)
SELECT
    judged.plant_id,
    plant_name,
    judged.local_date,
    ac_power_kw,
    kwh AS pv_generation_kwh,
    CASE WHEN reason IS NULL OR reason IN ('no_coordinates', 'always_clipped') THEN n_clipped / 4 END AS clipped_h,
    CASE WHEN reason IS NULL THEN coalesce(above_kwh, 0) END AS energy_above_limit_kwh,
    true AS is_estimate,
    reason AS clipping_reason,
    attributes.plant_group
FROM judged
LEFT JOIN plant_attributes AS attributes ON attributes.plant_id = judged.plant_id
ORDER BY judged.local_date, plant_name, judged.plant_id
