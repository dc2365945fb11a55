-- table
-- Energy of each group of plants per month, by plant_attributes, with the share that was measured and the energy that was expected. A sum includes the plants that reported the quantity.
-- Key: month, plant_group.
--
-- month: First day of the calendar month.
-- plant_group: Group of the plants by plant_attributes. Null: the plants without one.
-- n_plants: Plants with at least one day in the month. Unit: count.
-- n_plants_not_complete: Plants among them whose month is partial, missing or provisional. Unit: count.
-- coverage: Covered time divided by expected time, over all plants. Unit: 1. Null: nothing was expected.
-- pv_generation_kwh: PV generation. Unit: kWh. Null: nothing measured.
-- peak_power_kw: DC peak power of the plants in the sum. Unit: kW. Null: not known for any of them.
-- specific_yield_kwh_per_kw: PV generation per kW of DC peak power, over the plants that have both. Unit: kWh/kW. Null: no such plant.
-- self_consumption_kwh: Own generation used on site. Unit: kWh. Null: nothing measured.
-- grid_feed_in_kwh: Feed-in to the grid. Unit: kWh. Null: nothing measured.
-- grid_consumption_kwh: Consumption from the grid. Unit: kWh. Null: nothing measured.
-- total_consumption_kwh: Total consumption. Unit: kWh. Null: nothing measured.
-- expected_kwh: PV generation that you expect of these plants in the whole month. Unit: kWh. Null: not known for any of them.
-- n_plants_compared: Plants whose month is complete and whose expected energy is known. Unit: count.
-- share_of_expected: PV generation of the compared plants divided by their expected energy. Unit: 1. Null: there are none.
SELECT
    energy.month,
    months.plant_group,
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
    sum(months.expected_kwh) AS expected_kwh,
    count(months.share_of_expected) AS n_plants_compared,
    sum(energy.pv_generation_kwh) FILTER (WHERE months.share_of_expected IS NOT NULL)
        / sum(months.expected_kwh) FILTER (WHERE months.share_of_expected IS NOT NULL) AS share_of_expected
FROM energy_monthly AS energy
JOIN v_energy_monthly AS months ON months.plant_id = energy.plant_id AND months.month = energy.month
LEFT JOIN plants ON plants.plant_id = energy.plant_id
GROUP BY energy.month, months.plant_group
ORDER BY energy.month, months.plant_group NULLS LAST
