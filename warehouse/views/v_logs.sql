-- view
-- Log entries with the names of plant and device, and with an event id also for entries of Sunny Portal Classic, which gives none: it is found by the message tag where ennexOS has one event id for that tag. Newest first.
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
WITH tags AS (
    SELECT DISTINCT message_tag_id, event_id, n_event_ids FROM log_messages
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
    sections.name AS sub_plant_name
FROM logs
LEFT JOIN plants ON plants.plant_id = logs.plant_id
LEFT JOIN devices ON devices.plant_id = logs.plant_id AND devices.device_id = logs.device_id
LEFT JOIN sub_plants AS sections ON sections.plant_id = logs.plant_id
    AND sections.sub_plant_id = coalesce(logs.sub_plant_id, devices.sub_plant_id)
LEFT JOIN tags ON tags.message_tag_id = logs.message_tag_id
ORDER BY logs.logged_at DESC, plant_name, logs.plant_id
