-- How much CO2 does the fleet avoid, month by month?
-- report
SELECT month, count(co2_avoided_kg) AS n_plants, round(sum(co2_avoided_kg), 1) AS co2_avoided_kg
FROM kpi_monthly
GROUP BY month
ORDER BY month
