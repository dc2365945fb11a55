-- How much CO2 does the fleet avoid, month by month?
-- report
SELECT month, n_plants_with_co2 AS n_plants, round(co2_avoided_kg, 1) AS co2_avoided_kg
FROM v_energy_monthly_by_fleet
ORDER BY month
