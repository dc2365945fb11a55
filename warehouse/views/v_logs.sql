-- view
-- Log entries with the names of plant and device, and with an event id also for entries of Sunny Portal Classic, which gives none: it is found by the message tag where ennexOS has one event id for that tag. Newest first.
-- An entry of a warning or an error with occurrence Unsolved or Ongoing is where the event came; it is gone with the next entry Solved of the same plant, device and message. v_lost_energy has the energy that was lost between them.
-- No key: two rows may be equal.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave.
-- backend: Portal that holds the plant: classic or ennexos.
-- device_id: Device's id. Null: the event belongs to the plant, or the device is not named.
-- device_name: Name that the owner gave. Null: no device, or no name.
-- local_date: Calendar day of the log that the API was asked for.
-- logged_at: Time of the event. Null: the API's time could not be read.
-- level: Info, Warning or Error, as the API writes it. Null: not given.
-- message: Message text. Null: not given.
-- message_tag_id: SMA's number of the message text. Null: not given.
-- event_id: Event id. Null: see event_id_from.
-- event_id_from: given (by the entry), tag (the only event id of this tag on ennexOS), several (ennexOS has several for this tag, so none is chosen), unknown (ennexOS has none so far).
-- occurrence: Unsolved, Solved or Ongoing, as the API writes it. Null: not given.
-- counter: How often the event occurred. Unit: count. Null: not given.
-- sub_plant_id: SMA's id of the section of the plant, by the entry or by its device. Null: not given.
-- sub_plant_name: Name of that section. Null: not given.
-- logged_at_local: Time of the event on the plant's own clock. Null: the API's time could not be read.
-- gone_at: When the event that came with this entry was gone (UTC). Null: see duration_reason.
-- duration_h: Time from come to gone. Unit: h. Null: see duration_reason.
-- duration_reason: Why there is no duration: info (the entry reports no fault), gone (the entry is the end of an event), repeated (an earlier entry has the duration of this event), open (no entry says so far that the event is gone), no_occurrence (the entry does not say whether the event came or is gone), no_time. Null: there is a duration.
WITH tags AS (
    SELECT DISTINCT message_tag_id, event_id, n_event_ids FROM log_messages
), stated AS (
    SELECT *, CASE
        WHEN logged_at IS NULL THEN NULL
        WHEN lower(occurrence) = 'solved' THEN 'gone'
        WHEN lower(occurrence) IN ('unsolved', 'ongoing') AND lower(level) IS DISTINCT FROM 'info' THEN 'come'
    END AS state
    FROM logs
), paired AS (
    SELECT *,
        min(logged_at) FILTER (state = 'gone') OVER (event ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS next_gone_at,
        last_value(state IGNORE NULLS) OVER (event ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS state_before
    FROM stated
    -- At the same moment, an event comes before it is gone.
    WINDOW event AS (
        PARTITION BY plant_id, device_id, CASE WHEN state IS NOT NULL THEN coalesce(CAST(message_tag_id AS VARCHAR), message, '') END
        ORDER BY logged_at, state
    )
), timed AS (
    SELECT * EXCLUDE (state, next_gone_at, state_before),
        CASE
            WHEN logged_at IS NULL THEN 'no_time'
            WHEN lower(level) = 'info' THEN 'info'
            WHEN state IS NULL THEN 'no_occurrence'
            WHEN state = 'gone' THEN 'gone'
            WHEN state_before = 'come' THEN 'repeated'
            WHEN next_gone_at IS NULL THEN 'open'
        END AS duration_reason,
        CASE WHEN duration_reason IS NULL THEN next_gone_at END AS gone_at
    FROM paired
)
SELECT
    logs.plant_id,
    plants.name AS plant_name,
    plants.backend,
    logs.device_id,
    devices.name AS device_name,
    logs.local_date,
    logs.logged_at,
    logs.level,
    logs.message,
    logs.message_tag_id,
    coalesce(logs.log_id, tags.event_id) AS event_id,
    CASE
        WHEN logs.log_id IS NOT NULL THEN 'given'
        WHEN tags.n_event_ids = 1 THEN 'tag'
        WHEN tags.n_event_ids > 1 THEN 'several'
        ELSE 'unknown'
    END AS event_id_from,
    logs.occurrence,
    logs.counter,
    coalesce(logs.sub_plant_id, devices.sub_plant_id) AS sub_plant_id,
    sections.name AS sub_plant_name,
    local_time(logs.logged_at, plants.timezone) AS logged_at_local,
    logs.gone_at,
    (epoch(logs.gone_at) - epoch(logs.logged_at)) / 3600 AS duration_h,
    logs.duration_reason
FROM timed AS logs
LEFT JOIN plants ON plants.plant_id = logs.plant_id
LEFT JOIN devices ON devices.plant_id = logs.plant_id AND devices.device_id = logs.device_id
LEFT JOIN sub_plants AS sections ON sections.plant_id = logs.plant_id
    AND sections.sub_plant_id = coalesce(logs.sub_plant_id, devices.sub_plant_id)
LEFT JOIN tags ON tags.message_tag_id = logs.message_tag_id
-- Entries of a plant that moved keep the id that it had then. The settings may name either.
LEFT JOIN (
-- shared: plant_moves
) AS moves ON moves.former_id = logs.plant_id
LEFT JOIN plants AS present ON present.plant_id = coalesce(moves.newest_id, logs.plant_id)
WHERE present.excluded_from IS NULL OR logs.local_date < present.excluded_from
ORDER BY logs.logged_at DESC, plant_name, logs.plant_id
