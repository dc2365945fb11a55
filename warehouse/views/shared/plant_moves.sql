    -- Each id that a plant had before it moved, the one that it has now, and the number of moves between the two. Where two
    -- plants say that they had one id before, the greater id has taken its place. Moves in a circle are none.
    WITH RECURSIVE steps AS (
        SELECT migrated_from AS former_id, max(plant_id) AS next_id
        FROM plants
        WHERE migrated_from <> plant_id
        GROUP BY migrated_from
    ), walks AS (
        SELECT former_id, next_id AS newest_id, 1 AS n_moves FROM steps
        UNION ALL
        SELECT walks.former_id, steps.next_id, walks.n_moves + 1
        FROM walks
        JOIN steps ON steps.former_id = walks.newest_id
        WHERE walks.n_moves < (SELECT count(*) FROM steps)
    )
    SELECT former_id, newest_id, n_moves FROM walks WHERE newest_id NOT IN (SELECT former_id FROM steps)
