    -- Devices by the id that their plant has now. Of a device that was listed under two, it is the row of the newer one.
    SELECT coalesce(moves.newest_id, devices.plant_id) AS plant_id, devices.* EXCLUDE (plant_id)
    FROM devices
    LEFT JOIN moves ON moves.former_id = devices.plant_id
    QUALIFY row_number() OVER (
        PARTITION BY coalesce(moves.newest_id, devices.plant_id), devices.device_id ORDER BY coalesce(moves.n_moves, 0)
    ) = 1
