    SELECT plant_id, local_date, exact_sum(pv_generation_kwh) AS pv_generation_kwh
    FROM device_energy_daily
    WHERE device_id <> plant_id
    GROUP BY ALL
