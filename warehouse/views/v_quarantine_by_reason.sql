-- What was set aside and why, per plant and reason: where the vendor's data needs a talk with the vendor. Largest first.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave. Null: the plant is not in plants.
-- source: The table that it would have gone to.
-- reason: The rule that it broke.
-- scope: What was set aside: answer, row or value.
-- n_set_aside: How often. Unit: count.
-- n_days: Days concerned. Unit: count.
-- first_day: First day concerned.
-- last_day: Latest day concerned.
SELECT
    quarantine.plant_id,
    plants.name AS plant_name,
    quarantine.source,
    quarantine.reason,
    quarantine.scope,
    count(*) AS n_set_aside,
    count(DISTINCT quarantine.local_date) AS n_days,
    min(quarantine.local_date) AS first_day,
    max(quarantine.local_date) AS last_day
FROM quarantine
LEFT JOIN plants ON plants.plant_id = quarantine.plant_id
GROUP BY ALL
ORDER BY n_set_aside DESC, quarantine.plant_id, quarantine.source, quarantine.reason
