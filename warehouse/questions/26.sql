-- Which plants stay behind what is expected of them?
-- report
SELECT plant_name, plant_group, round(pv_generation_kwh, 1) AS pv_kwh, round(expected_kwh, 1) AS expected_kwh,
    round(share_of_expected, 3) AS share_of_expected
FROM v_energy_monthly
WHERE month = DATE '2021-10-01' AND share_of_expected IS NOT NULL
ORDER BY share_of_expected, plant_name
