-- What did each group of plants make, and which share of what is expected is that?
-- report
SELECT plant_group, n_plants, round(pv_generation_kwh, 1) AS pv_kwh, round(specific_yield_kwh_per_kw, 1) AS kwh_per_kw,
    round(expected_kwh, 1) AS expected_kwh, round(share_of_expected, 3) AS share_of_expected
FROM v_energy_monthly_by_group
WHERE month = DATE '2021-10-01'
ORDER BY plant_group NULLS LAST
