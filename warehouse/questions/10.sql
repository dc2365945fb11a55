-- Which share of its own energy does each plant use, and which share of its use does it make?
-- report
SELECT plant_name, round(self_consumption_rate, 3) AS self_consumption, round(self_supply_rate, 3) AS self_supply
FROM v_kpi_monthly
WHERE month = DATE '2021-10-01' AND self_supply_rate IS NOT NULL
ORDER BY plant_name
