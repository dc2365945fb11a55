    count(*) AS n_plants,
    count(*) FILTER (WHERE energy.status <> 'complete') AS n_plants_not_complete,
    exact_sum(energy.covered_h) / nullif(exact_sum(energy.expected_h), 0) AS coverage,
    exact_sum(energy.pv_generation_kwh) AS pv_generation_kwh,
    exact_sum(rated.peak_power_kw) FILTER (WHERE energy.pv_generation_kwh IS NOT NULL) AS peak_power_kw,
    exact_sum(energy.pv_generation_kwh) FILTER (WHERE rated.peak_power_kw > 0)
        / exact_sum(rated.peak_power_kw) FILTER (WHERE rated.peak_power_kw > 0 AND energy.pv_generation_kwh IS NOT NULL)
        AS specific_yield_kwh_per_kw,
    exact_sum(energy.self_consumption_kwh) AS self_consumption_kwh,
    exact_sum(energy.grid_feed_in_kwh) AS grid_feed_in_kwh,
    exact_sum(energy.grid_consumption_kwh) AS grid_consumption_kwh,
    exact_sum(energy.total_consumption_kwh) AS total_consumption_kwh,
