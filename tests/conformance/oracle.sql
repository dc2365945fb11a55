-- kWh and covered seconds of every day and quantity, by nothing but SQL over the answers' text.
--
-- Written from the rules' text (docs/energy.md), not from the pipeline: SQL walks the clock where Python bisects it, and
-- rows that never came are events of their own where the pipeline keeps them beside the row.
-- Tables: cases (id, local_date, timezone, time_basis, merged_hour, resolution_s, answers JSON).
WITH zones AS (SELECT DISTINCT timezone, local_date FROM cases),
walked AS (
    SELECT timezone, local_date, quarter
    FROM zones, generate_series(local_date - INTERVAL 16 HOUR, local_date + INTERVAL 41 HOUR, INTERVAL 15 MINUTE) AS g (naive),
         LATERAL (SELECT timezone('UTC', naive) AS quarter)
),
bounds AS (
    SELECT timezone, local_date,
           min(quarter) FILTER (timezone(timezone, quarter)::DATE >= local_date) AS day_start,
           min(quarter) FILTER (timezone(timezone, quarter)::DATE > local_date) AS day_end
    FROM walked GROUP BY ALL
),
answers AS (
    SELECT id, unnest(from_json(answers, '[{"set": ["JSON"]}]')).set AS list, generate_subscripts(from_json(answers, '["JSON"]'), 1) AS page
    FROM cases
),
sent AS (
    SELECT id, page, generate_subscripts(list, 1) AS place, unnest(list) AS body FROM answers
),
labelled AS (
    SELECT id, row_number() OVER (PARTITION BY id ORDER BY page, place) AS place, body,
           (body->>'time')::TIMESTAMP AS label
    FROM sent
),
-- The instants of the day at which the plant's clock shows the label, early first.
placed AS (
    SELECT id, place, body, label, day_start, day_end,
           CASE WHEN time_basis = 'utc' THEN [timezone('UTC', label)]
                ELSE list_sort(list_filter(
                    list_distinct([timezone(timezone, label) + INTERVAL (m) MINUTE FOR m IN [-60, -30, 0, 30, 60]]),
                    lambda t: timezone(timezone, t) = label AND t > day_start AND t <= day_end))
           END AS shown
    FROM labelled JOIN cases USING (id) JOIN bounds USING (timezone, local_date)
),
doubtful AS (
    SELECT *, len(shown) > 1 AS doubt,
           count(*) OVER (PARTITION BY id, label) AS times,
           row_number() OVER (PARTITION BY id, label ORDER BY place) AS turn,
           label <= lag(label) OVER (PARTITION BY id, len(shown) > 1 ORDER BY place) AS back
    FROM placed
),
passes AS (
    SELECT *, coalesce(bool_or(doubt AND back) OVER (PARTITION BY id), false) AS jumps,
           coalesce(bool_or(doubt AND back) OVER (PARTITION BY id ORDER BY place), false) AS jumped
    FROM doubtful
),
told AS (
    SELECT id, place, body, day_start, day_end, doubt AND times = 1 AND NOT jumps AS merged, shown,
           CASE WHEN NOT doubt THEN shown[1]
                WHEN times = 1 THEN shown[CASE WHEN jumped THEN 2 ELSE 1 END]
                ELSE shown[CASE WHEN turn > 1 THEN 2 ELSE 1 END] END AS ends
    FROM passes
),
-- What happened: a row came, or the second pass of a merged one never did (or is the same mean once more).
events AS (
    SELECT id, place, body, day_start, ends, true AS came FROM told WHERE ends > day_start AND ends <= day_end
    UNION ALL
    SELECT id, place, body, day_start, shown[2], merged_hour = 'mean' FROM told JOIN cases USING (id) WHERE merged
),
single AS (SELECT * FROM events QUALIFY row_number() OVER (PARTITION BY id, ends ORDER BY place) = 1),
followed AS (
    SELECT *, lag(ends) OVER (PARTITION BY id ORDER BY ends) AS before FROM single
),
reaching AS (
    SELECT id, body, ends,
           CASE WHEN before IS NULL THEN greatest(day_start, ends - to_seconds(resolution_s))
                WHEN epoch(ends - before) <= 3 * resolution_s THEN before
                ELSE ends - to_seconds(resolution_s) END AS begins
    FROM followed JOIN cases USING (id) WHERE came
),
powers AS (
    SELECT id, quantity, (body->>field)::DOUBLE AS watts, epoch(ends - begins) AS lasts
    FROM reaching, (VALUES ('pvGeneration', 'pv_generation'), ('gridFeedIn', 'grid_feed_in'),
                           ('totalConsumption', 'total_consumption')) AS names (field, quantity)
    WHERE body->>field IS NOT NULL
)
SELECT id, quantity, fsum(watts * lasts) / 3.6e6 AS kwh, sum(lasts)::BIGINT AS covered_s
FROM powers GROUP BY id, quantity ORDER BY id, quantity
