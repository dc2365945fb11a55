-- table
-- Energy of the whole fleet per month, with the share that was measured. A sum includes the plants that reported the quantity, so two sums may be of different plants: where one is divided by the other, add up plants that have both.
-- Key: month.
--
-- month: First day of the calendar month.
-- shared: energy_sums_columns
-- n_plants_with_co2: Plants whose avoided CO2 is known. Unit: count.
-- co2_avoided_kg: CO2 avoided by these plants. Unit: kg. Null: not known for any of them.
SELECT
    energy.month,
-- shared: energy_sums
    count(kpi.co2_avoided_kg) AS n_plants_with_co2,
    exact_sum(kpi.co2_avoided_kg) AS co2_avoided_kg
FROM energy_monthly AS energy
LEFT JOIN (
-- shared: plant_moves
) AS moves ON moves.former_id = energy.plant_id
LEFT JOIN plants ON plants.plant_id = coalesce(moves.newest_id, energy.plant_id)
LEFT JOIN kpi_monthly AS kpi ON kpi.plant_id = energy.plant_id AND kpi.month = energy.month
CROSS JOIN LATERAL (SELECT coalesce(kpi.peak_power_kw, plants.peak_power_kw) AS peak_power_kw) AS rated
GROUP BY energy.month
ORDER BY energy.month
