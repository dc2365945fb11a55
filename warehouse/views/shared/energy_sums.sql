    count(*) AS n_plants,
    count(*) FILTER (WHERE energy.status <> 'complete') AS n_plants_not_complete,
    sum(energy.covered_h) / nullif(sum(energy.expected_h), 0) AS coverage,
    sum(energy.pv_generation_kwh) AS pv_generation_kwh,
    sum(plants.peak_power_kw) FILTER (WHERE energy.pv_generation_kwh IS NOT NULL) AS peak_power_kw,
    sum(energy.pv_generation_kwh) FILTER (WHERE plants.peak_power_kw > 0)
        / sum(plants.peak_power_kw) FILTER (WHERE plants.peak_power_kw > 0 AND energy.pv_generation_kwh IS NOT NULL)
        AS specific_yield_kwh_per_kw,
    sum(energy.self_consumption_kwh) AS self_consumption_kwh,
    sum(energy.grid_feed_in_kwh) AS grid_feed_in_kwh,
    sum(energy.grid_consumption_kwh) AS grid_consumption_kwh,
    sum(energy.total_consumption_kwh) AS total_consumption_kwh,
