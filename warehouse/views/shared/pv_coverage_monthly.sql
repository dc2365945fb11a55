    -- A closed month has all its days, also those on which its plants are excluded since then.
    SELECT plant_id, month_of(local_date) AS month, exact_sum(covered_h) / nullif(exact_sum(expected_h), 0) AS coverage
    FROM coverage_daily
    LEFT JOIN plants USING (plant_id)
    WHERE quantity = 'pv_generation'
        AND (
            excluded_from IS NULL
            OR local_date < excluded_from
            OR month_of(local_date) IN (SELECT month FROM energy_monthly WHERE closed_at IS NOT NULL)
        )
    GROUP BY ALL
