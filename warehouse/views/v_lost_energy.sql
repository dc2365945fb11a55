-- view
-- Estimate of the energy that was lost while an inverter or a plant had an event of v_logs, from come to gone. It is the energy by a reference minus the measured one, and at least 0, both of the quarters of an hour that the event touches. The references are, the best first: neighbour_inverters (the median energy per rated kW of the plant's other inverters in the same time), fleet_neighbours (the median energy per kW of DC peak power of plants within 25 km) and clear_sky (the plant's own energy in the same quarters of an hour of other days, at most 15 days away, in proportion to a cloudless sky: this is the plant's mean weather, not that of the day). Inverters and plants that had an event in that time themselves, or lack rows, are no reference.
-- No key: two rows may be equal.
--
-- plant_id: Plant's id; of a plant that moved the newest one.
-- plant_name: Name that the owner gave.
-- device_id: Device's id. Null: the event belongs to the plant.
-- device_name: Name that the owner gave. Null: the event belongs to the plant, or no name.
-- local_date: Calendar day in the plant's own time zone on which the event came.
-- came_at: When the event came (UTC).
-- gone_at: When it was gone (UTC).
-- came_at_local: When it came on the plant's own clock.
-- duration_h: Time from come to gone. Unit: h.
-- level: Warning or Error, as the API writes it. Null: not given.
-- message: Message text. Null: not given.
-- message_tag_id: SMA's number of the message text. Null: not given.
-- measured_kwh: PV generation of the inverter or plant that was measured in these quarters of an hour. Unit: kWh. Null: nothing measured.
-- reference_kwh: PV generation in these quarters by the reference. Unit: kWh. Null: see lost_energy_reason.
-- lost_kwh: Estimate of the lost energy. Events that overlap have each the whole loss, so do not sum them. Unit: kWh. Null: see lost_energy_reason.
-- lost_energy_reference: neighbour_inverters, fleet_neighbours or clear_sky. Null: see lost_energy_reason.
-- n_references: Inverters, plants or days that the reference consists of; 0 where the sun was down all the time. Unit: count. Null: see lost_energy_reason.
-- is_estimate: Always true: lost energy can't be measured.
-- lost_energy_reason: Why there is no estimate: no_inverter (the device makes no PV energy), not_measured (the inverter's or plant's own power lacks rows in that time, or a whole day of it is not stored or has none, so whether energy was lost is not known), no_reference (no neighbour, and fewer than 5 other days with data or no coordinates). Null: there is an estimate.
-- plant_group: Group of the plant by plant_attributes. Null: none.
WITH moves AS (
-- shared: plant_moves
), present_devices AS (
-- shared: present_devices
), rated AS (
    SELECT plant_id, device_id, generator_power_w, former_powers, deactivated_at
    FROM present_devices
    WHERE type IS DISTINCT FROM 'Battery Inverter'
), events AS (
    SELECT
        row_number() OVER (PARTITION BY plants.plant_id ORDER BY logs.logged_at, logs.device_id, logs.message) AS outage,
        plants.plant_id,
        logs.plant_name,
        logs.device_id,
        logs.device_name,
        logs.logged_at AS came_at,
        logs.gone_at,
        -- Rows hold the mean of their interval, so a loss is known of whole intervals alone. All rows end on quarters.
        to_timestamp(floor(epoch(logs.logged_at) / 900) * 900) AS first_at,
        to_timestamp(ceil(epoch(logs.gone_at) / 900) * 900) AS last_at,
        logs.logged_at_local AS came_at_local,
        logs.duration_h,
        logs.level,
        logs.message,
        logs.message_tag_id,
        CAST(logs.logged_at_local AS DATE) AS local_date,
        local_day(logs.gone_at, plants.timezone) AS gone_date,
        rated_power(plants.peak_power_kw, plants.former_powers, 'peak_power_kw', CAST(logs.logged_at_local AS DATE)) AS peak_power_kw,
        plants.latitude,
        plants.longitude,
        nullif(
            rated_power(
                rated.generator_power_w, rated.former_powers, 'generator_power_w', CAST(logs.logged_at_local AS DATE)
            ), 0
        ) AS rated_w,
        attributes.plant_group
    FROM v_logs AS logs
    -- Logs and intervals of a plant that moved keep the id that it had then; days and quarters have the newest one.
    LEFT JOIN moves ON moves.former_id = logs.plant_id
    JOIN plants ON plants.plant_id = coalesce(moves.newest_id, logs.plant_id)
    LEFT JOIN rated ON rated.plant_id = plants.plant_id AND rated.device_id = logs.device_id
    LEFT JOIN plant_attributes AS attributes ON attributes.plant_id = plants.plant_id
    WHERE logs.gone_at > logs.logged_at
        AND (plants.excluded_from IS NULL OR CAST(logs.logged_at_local AS DATE) < plants.excluded_from)
), inverters_then AS (
    -- The list has inverters that were replaced and their successors, of which one works at a time. Those of the day are
    -- in device_energy_daily, where inverters are fetched at all.
    SELECT
        events.plant_id,
        events.outage,
        sum(then_w) FILTER (is_own OR daily.device_id IS NOT NULL) AS of_day_w,
        sum(then_w) FILTER (is_own OR rated.deactivated_at IS NULL OR rated.deactivated_at > events.came_at_local) AS listed_w,
        CASE WHEN count(daily.device_id) FILTER (then_w > 0) > 0 THEN of_day_w ELSE listed_w END AS rated_w
    FROM events
    JOIN rated ON rated.plant_id = events.plant_id
    LEFT JOIN device_energy_daily AS daily ON daily.plant_id = rated.plant_id AND daily.device_id = rated.device_id
        AND daily.local_date = events.local_date,
    LATERAL (
        SELECT
            rated.device_id = events.device_id AS is_own,
            rated_power(rated.generator_power_w, rated.former_powers, 'generator_power_w', events.local_date) AS then_w
    )
    GROUP BY ALL
), outages AS (
    SELECT
        events.*,
        CASE WHEN events.device_id IS NULL THEN 1.0 ELSE events.rated_w / inverters_then.rated_w END AS share_of_plant
    FROM events
    LEFT JOIN inverters_then ON inverters_then.plant_id = events.plant_id AND inverters_then.outage = events.outage
), spans AS (
    -- Detail is stored by local day; a day before and after reaches the days of all time zones.
    SELECT
        outage,
        plant_id,
        device_id,
        first_at,
        last_at,
        share_of_plant,
        unnest(generate_series(local_date - 1, CAST(local_date + CAST(ceil(duration_h / 24) AS INTEGER) + 1 AS DATE), INTERVAL 1 DAY)) AS day
    FROM outages
    WHERE share_of_plant > 0
), inverter_energy AS (
    SELECT
        spans.plant_id,
        spans.outage,
        pv.device_id,
        sum(pv.pv_generation_kwh * inside_s / nullif(epoch(pv.interval_end) - epoch(pv.interval_start), 0)) AS kwh,
        sum(inside_s) FILTER (pv.pv_generation_kwh IS NOT NULL) / 3600 AS covered_h,
        coalesce(sum(inside_s) FILTER (pv.pv_generation_w > 0), 0) / 3600 AS generating_h
    FROM spans
    JOIN (
        SELECT plant_id, plant_id AS newest_id FROM plants UNION ALL SELECT former_id, newest_id FROM moves
    ) AS ids ON ids.newest_id = spans.plant_id
    JOIN (
        SELECT *, epoch(interval_start) AS start_s, epoch(interval_end) AS end_s FROM pv_intervals
    ) AS pv ON pv.plant_id = ids.plant_id AND pv.local_date = CAST(spans.day AS DATE)
        AND pv.interval_end > spans.first_at AND pv.interval_start < spans.last_at,
    LATERAL (SELECT least(end_s, epoch(spans.last_at)) - greatest(start_s, epoch(spans.first_at)) AS inside_s)
    GROUP BY ALL
), quarters AS (
    SELECT
        plant_id,
        local_date,
        quarter_start,
        pv_generation_kwh,
        coalesce(pv_generation_covered_h, 0) AS covered_h,
        nullif(rated_power(plants.peak_power_kw, plants.former_powers, 'peak_power_kw', local_date), 0) AS peak_kw,
        clear_sky_w_per_m2(quarter_start + INTERVAL 450 SECOND, plants.latitude, plants.longitude) AS sky
    FROM energy_quarter_hourly
    LEFT JOIN plants USING (plant_id)
), plant_energy AS (
    SELECT
        spans.plant_id,
        spans.outage,
        quarters.plant_id AS source_id,
        sum(pv_generation_kwh) AS kwh,
        sum(covered_h) AS covered_h,
        count(*) FILTER (pv_generation_kwh > 0) / 4 AS generating_h
    FROM spans
    JOIN (
        SELECT one.plant_id, other.plant_id AS source_id
        FROM plants AS one
        JOIN plants AS other ON one.plant_id = other.plant_id OR (
            (other.peak_power_kw > 0 OR other.former_powers IS NOT NULL)
            AND 12742 * asin(least(1, sqrt(
                pow(sin(radians(other.latitude - one.latitude) / 2), 2)
                + cos(radians(one.latitude)) * cos(radians(other.latitude))
                * pow(sin(radians(other.longitude - one.longitude) / 2), 2)
            ))) <= 25
        )
    ) AS near ON near.plant_id = spans.plant_id
    JOIN (
        SELECT plant_id, local_date, quarter_start, pv_generation_kwh, coalesce(pv_generation_covered_h, 0) AS covered_h
        FROM energy_quarter_hourly
    ) AS quarters ON quarters.plant_id = near.source_id AND quarters.local_date = CAST(spans.day AS DATE)
        AND quarters.quarter_start >= spans.first_at AND quarters.quarter_start < spans.last_at
    GROUP BY ALL
), own AS (
    SELECT
        outages.*,
        CASE WHEN outages.device_id IS NULL THEN of_plant.kwh ELSE of_inverter.kwh END AS measured_kwh,
        coalesce(CASE WHEN outages.device_id IS NULL THEN of_plant.covered_h ELSE of_inverter.covered_h END, 0) AS own_covered_h
    FROM outages
    LEFT JOIN inverter_energy AS of_inverter ON of_inverter.plant_id = outages.plant_id
        AND of_inverter.outage = outages.outage AND of_inverter.device_id = outages.device_id
    LEFT JOIN plant_energy AS of_plant ON of_plant.plant_id = outages.plant_id
        AND of_plant.outage = outages.outage AND of_plant.source_id = outages.plant_id
), inverters AS (
    SELECT plant_id, outage, any_value(own_w) * median(kwh / then_w) AS kwh, max(generating_h) AS generating_h, count(*) AS n
    FROM (
        SELECT
            found.*,
            rated_power(rated.generator_power_w, rated.former_powers, 'generator_power_w', own.local_date) AS then_w,
            own.rated_w AS own_w
        FROM own
        JOIN inverter_energy AS found ON found.plant_id = own.plant_id AND found.outage = own.outage
            AND found.device_id <> own.device_id
        JOIN rated ON rated.plant_id = found.plant_id AND rated.device_id = found.device_id
        ANTI JOIN outages AS theirs ON theirs.plant_id = found.plant_id
            AND (theirs.device_id = found.device_id OR theirs.device_id IS NULL)
            AND theirs.first_at < own.last_at AND theirs.last_at > own.first_at
        WHERE found.kwh IS NOT NULL AND then_w > 0
        QUALIFY found.covered_h >= 0.95 * max(found.covered_h) OVER (PARTITION BY found.plant_id, found.outage)
    )
    GROUP BY plant_id, outage
), fleet AS (
    SELECT plant_id, outage, any_value(own_kw) * median(kwh / peak_power_kw) AS kwh, max(generating_h) AS generating_h, count(*) AS n
    FROM (
        SELECT
            found.*,
            rated_power(plants.peak_power_kw, plants.former_powers, 'peak_power_kw', own.local_date) AS peak_power_kw,
            own.peak_power_kw * own.share_of_plant AS own_kw
        FROM own
        JOIN plant_energy AS found ON found.plant_id = own.plant_id AND found.outage = own.outage
            AND found.source_id <> own.plant_id
        JOIN plants ON plants.plant_id = found.source_id
        ANTI JOIN outages AS theirs ON theirs.plant_id = found.source_id
            AND theirs.first_at < own.last_at AND theirs.last_at > own.first_at
        WHERE found.kwh IS NOT NULL AND own.peak_power_kw > 0
            AND rated_power(plants.peak_power_kw, plants.former_powers, 'peak_power_kw', own.local_date) > 0
        QUALIFY found.covered_h >= 0.95 * max(found.covered_h) OVER (PARTITION BY found.plant_id, found.outage)
    )
    GROUP BY plant_id, outage
), slots AS (
    -- The same quarters of an hour of other days; the plant's plane, shade and mean weather are in their ratio.
    SELECT
        own.plant_id,
        own.outage,
        epoch(quarters.quarter_start) % 86400 AS slot,
        -- A plant with other power on such a day makes as much more or less under the same sky.
        sum(quarters.pv_generation_kwh)
            / nullif(sum(quarters.sky * quarters.covered_h * coalesce(quarters.peak_kw / nullif(own.peak_power_kw, 0), 1)), 0) AS kwh_per_sky_wh,
        count(*) AS n
    FROM own
    JOIN quarters ON quarters.plant_id = own.plant_id
        AND quarters.local_date BETWEEN own.local_date - 15 AND CAST(own.local_date + 15 AS DATE)
    ANTI JOIN outages AS theirs ON theirs.plant_id = quarters.plant_id
        AND theirs.first_at <= quarters.quarter_start AND theirs.last_at > quarters.quarter_start
    WHERE quarters.pv_generation_kwh IS NOT NULL AND quarters.covered_h > 0.2 AND quarters.sky > 0
    GROUP BY own.plant_id, own.outage, slot
), clear_sky AS (
    SELECT
        own.plant_id,
        own.outage,
        any_value(own.share_of_plant) * coalesce(
            sum(slots.kwh_per_sky_wh * quarters.sky * 0.25 * coalesce(quarters.peak_kw / nullif(own.peak_power_kw, 0), 1)), 0
        ) AS kwh,
        count(*) FILTER (slots.kwh_per_sky_wh > 0) / 4 AS generating_h,
        CASE WHEN max(quarters.sky) = 0 THEN 0 ELSE min(slots.n) END AS n,
        max(quarters.sky) = 0 OR min(slots.n) >= 5 AS is_enough
    FROM own
    JOIN quarters ON quarters.plant_id = own.plant_id
        AND quarters.local_date BETWEEN own.local_date AND CAST(own.local_date + CAST(ceil(own.duration_h / 24) AS INTEGER) AS DATE)
        AND quarters.quarter_start >= own.first_at AND quarters.quarter_start < own.last_at
    LEFT JOIN slots ON slots.plant_id = own.plant_id AND slots.outage = own.outage
        AND slots.slot = epoch(quarters.quarter_start) % 86400
    GROUP BY own.plant_id, own.outage
)
, chosen AS (
    SELECT
        own.*,
        CASE
            WHEN own.share_of_plant IS NULL THEN NULL
            WHEN inverters.kwh IS NOT NULL THEN 'neighbour_inverters'
            WHEN fleet.kwh IS NOT NULL THEN 'fleet_neighbours'
            WHEN clear_sky.is_enough THEN 'clear_sky'
        END AS reference,
        CASE reference WHEN 'neighbour_inverters' THEN inverters.kwh WHEN 'fleet_neighbours' THEN fleet.kwh WHEN 'clear_sky' THEN clear_sky.kwh END AS kwh,
        CASE reference WHEN 'neighbour_inverters' THEN inverters.n WHEN 'fleet_neighbours' THEN fleet.n WHEN 'clear_sky' THEN clear_sky.n END AS n,
        CASE reference
            WHEN 'neighbour_inverters' THEN inverters.generating_h
            WHEN 'fleet_neighbours' THEN fleet.generating_h
            WHEN 'clear_sky' THEN clear_sky.generating_h
        END AS generating_h
    FROM own
    LEFT JOIN inverters ON inverters.plant_id = own.plant_id AND inverters.outage = own.outage
    LEFT JOIN fleet ON fleet.plant_id = own.plant_id AND fleet.outage = own.outage
    LEFT JOIN clear_sky ON clear_sky.plant_id = own.plant_id AND clear_sky.outage = own.outage
), held AS (
    -- Of a day without any row, neither the event's own energy nor that of a reference is known.
    SELECT plant_id, local_date, false AS of_inverters FROM energy_daily WHERE n_rows > 0 OR expected_h = 0
    UNION
    SELECT plant_id, local_date, true FROM device_energy_daily WHERE n_rows > 0 OR expected_h = 0
), counted AS (
    SELECT outages.plant_id, outages.outage, count(*) AS n_days_held
    FROM outages
    JOIN held ON held.plant_id = outages.plant_id
    WHERE held.of_inverters = (outages.device_id IS NOT NULL)
        AND held.local_date > outages.local_date AND held.local_date < outages.gone_date
    GROUP BY ALL
), judged AS (
    -- An inverter without rows may have worked: only its communication may have been disturbed.
    SELECT chosen.*, CASE
        WHEN share_of_plant IS NULL THEN 'no_inverter'
        WHEN reference IS NULL THEN 'no_reference'
        WHEN own_covered_h < 0.9 * generating_h OR coalesce(n_days_held, 0) < gone_date - local_date - 1 THEN 'not_measured'
    END AS lost_energy_reason
    FROM chosen
    LEFT JOIN counted USING (plant_id, outage)
)
SELECT
    plant_id,
    plant_name,
    device_id,
    device_name,
    local_date,
    came_at,
    gone_at,
    came_at_local,
    duration_h,
    level,
    message,
    message_tag_id,
    measured_kwh,
    CASE WHEN lost_energy_reason IS NULL THEN kwh END AS reference_kwh,
    CASE WHEN lost_energy_reason IS NULL THEN greatest(kwh - coalesce(measured_kwh, 0), 0) END AS lost_kwh,
    CASE WHEN lost_energy_reason IS NULL THEN reference END AS lost_energy_reference,
    CASE WHEN lost_energy_reason IS NULL THEN n END AS n_references,
    true AS is_estimate,
    lost_energy_reason,
    plant_group
FROM judged
ORDER BY came_at DESC, plant_name, plant_id
