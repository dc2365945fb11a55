-- table
-- Energy of the whole fleet per month, with the share that was measured. A sum includes the plants that reported the quantity.
-- Key: month.
--
-- month: First day of the calendar month.
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
-- n_plants_with_co2: Plants whose avoided CO2 is known. Unit: count.
-- co2_avoided_kg: CO2 avoided by these plants. Unit: kg. Null: not known for any of them.
SELECT
    energy.month,
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
    count(kpi.co2_avoided_kg) AS n_plants_with_co2,
    sum(kpi.co2_avoided_kg) AS co2_avoided_kg
FROM energy_monthly AS energy
LEFT JOIN plants ON plants.plant_id = energy.plant_id
LEFT JOIN kpi_monthly AS kpi ON kpi.plant_id = energy.plant_id AND kpi.month = energy.month
GROUP BY energy.month
ORDER BY energy.month
