-- What did the whole fleet make, month by month?
-- report
SELECT month, n_plants, n_plants_not_complete, round(pv_generation_kwh, 1) AS pv_kwh, round(coverage, 3) AS coverage
FROM v_energy_monthly_by_fleet
ORDER BY month
