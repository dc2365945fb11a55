-- An invoice as SMA might send it, made from what is published: of the systems in the order of their ids the second is
-- in another class, the third has another price, the fourth is missing, and 4711 was never asked for.
WITH units AS (SELECT *, row_number() OVER (ORDER BY plant_id) AS place FROM billing_units)
SELECT
    plant_id,
    strftime(month, '%Y-%m') AS month,
    if(place = 2, '1000+', capacity_class) AS capacity_class,
    if(place = 3, fee_eur + 1, fee_eur) AS fee_eur
FROM units
WHERE place <> 4
UNION ALL
SELECT '4711', strftime(max(month), '%Y-%m'), '20-99', 16.50 FROM units
ORDER BY plant_id
