-- view
-- Data that was set aside or is suspicious, by plant and reason: it shows what to discuss with SMA. Largest first.
-- Key: plant_id, source, reason, scope, kept.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave. Null: the plant is not in plants.
-- source: Table that the data was meant for.
-- reason: Rule that the data breaks.
-- scope: What the reason applies to: answer, row, value, rows (several of a day) or day.
-- kept: True where the data stays in its table and counts in the energy, because it is suspicious but possible.
-- n_found: How often the reason was found. Unit: count.
-- n_rows: Rows concerned. Unit: count. Null: whole answers or days.
-- n_days: Days concerned. Unit: count.
-- first_day: First day concerned.
-- last_day: Latest day concerned.
SELECT
    quarantine.plant_id,
    plants.name AS plant_name,
    quarantine.source,
    quarantine.reason,
    quarantine.scope,
    quarantine.kept,
    count(*) AS n_found,
    CAST(sum(quarantine.n_rows) AS BIGINT) AS n_rows,
    count(DISTINCT quarantine.local_date) AS n_days,
    min(quarantine.local_date) AS first_day,
    max(quarantine.local_date) AS last_day
FROM quarantine
LEFT JOIN plants ON plants.plant_id = quarantine.plant_id
-- What was found before a plant moved keeps the id that it had then. The settings may name either.
LEFT JOIN (
-- shared: plant_moves
) AS moves ON moves.former_id = quarantine.plant_id
LEFT JOIN plants AS present ON present.plant_id = coalesce(moves.newest_id, quarantine.plant_id)
WHERE present.excluded_from IS NULL OR quarantine.local_date < present.excluded_from
GROUP BY ALL
ORDER BY n_found DESC, quarantine.plant_id, quarantine.source, quarantine.reason
