-- table
-- Energy of each group of plants per month, by plant_attributes, with the share that was measured and the energy that was expected. A sum includes the plants that reported the quantity, so two sums may be of different plants: where one is divided by the other, add up plants that have both.
-- Key: month, plant_group.
--
-- month: First day of the calendar month.
-- plant_group: Group of the plants by plant_attributes. Null: the plants without one.
-- shared: energy_sums_columns
-- expected_kwh: PV generation that you expect of these plants in the whole month. Unit: kWh. Null: not known for any of them.
-- n_plants_compared: Plants whose month is complete and whose expected energy is known. Unit: count.
-- share_of_expected: PV generation of the compared plants divided by their expected energy. Unit: 1. Null: there are none.
SELECT
    energy.month,
    months.plant_group,
-- shared: energy_sums
    exact_sum(months.expected_kwh) AS expected_kwh,
    count(months.share_of_expected) AS n_plants_compared,
    exact_sum(energy.pv_generation_kwh) FILTER (WHERE months.share_of_expected IS NOT NULL)
        / exact_sum(months.expected_kwh) FILTER (WHERE months.share_of_expected IS NOT NULL) AS share_of_expected
FROM energy_monthly AS energy
JOIN v_energy_monthly AS months ON months.plant_id = energy.plant_id AND months.month = energy.month
LEFT JOIN (
-- shared: plant_moves
) AS moves ON moves.former_id = energy.plant_id
LEFT JOIN plants ON plants.plant_id = coalesce(moves.newest_id, energy.plant_id)
LEFT JOIN kpi_monthly AS kpi ON kpi.plant_id = energy.plant_id AND kpi.month = energy.month
CROSS JOIN LATERAL (SELECT coalesce(kpi.peak_power_kw, plants.peak_power_kw) AS peak_power_kw) AS rated
GROUP BY energy.month, months.plant_group
ORDER BY energy.month, months.plant_group NULLS LAST
