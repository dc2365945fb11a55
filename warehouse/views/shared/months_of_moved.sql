    -- A closed month names a plant that has moved since by an id of before; its days have the newest one. Of two rows of
    -- one plant the one with the newer id stands for the days.
    SELECT
        source.*,
        coalesce(moves.newest_id, source.plant_id) AS present_id,
        CASE WHEN row_number() OVER (PARTITION BY present_id, source.month ORDER BY coalesce(moves.n_moves, 0)) = 1
            THEN present_id
        END AS days_id
    FROM source
    LEFT JOIN moves ON moves.former_id = source.plant_id
