-- view
-- Energy of each month beside the same month of the year before, like for like: both years sum up the same calendar days of the same plants, which are those that are complete in both years. So data gaps, plants that came or went, and 29 February do not look like weather or a fault. There are rows for each plant, each group of plant_attributes, and the whole fleet, from the days as they are now; a quantity includes the days of these on which both years have it. A month without such a day has no row.
-- Key: scope, plant_id, plant_group, month.
--
-- scope: What the row sums up: plant, group or fleet.
-- plant_id: Plant's id. Null: the row is of a group or of the fleet.
-- plant_name: Name that the owner gave. Null: the row is of a group or of the fleet.
-- plant_group: Group of plants by plant_attributes. Null: the plant has none, or the row is of the fleet.
-- month: First day of the calendar month; it is compared with the same month of the year before.
-- n_plants: Plants with at least one day that is compared. Unit: count.
-- n_days: Days that are compared, summed over the plants. Unit: count.
-- n_days_held: Days of the month that the warehouse holds, summed over the same plants. Unit: count.
-- pv_generation_kwh: PV generation. Unit: kWh. Null: not measured in both years.
-- pv_generation_before_kwh: PV generation a year before. Unit: kWh. Null: not measured in both years.
-- pv_generation_change: PV generation divided by that of the year before, minus 1: 0.05 is 5 % more. Unit: 1. Null: no generation a year before, or not measured in both years.
-- grid_feed_in_kwh: Feed-in to the grid. Unit: kWh. Null: not measured in both years.
-- grid_feed_in_before_kwh: Feed-in to the grid a year before. Unit: kWh. Null: not measured in both years.
-- grid_consumption_kwh: Consumption from the grid. Unit: kWh. Null: not measured in both years.
-- grid_consumption_before_kwh: Consumption from the grid a year before. Unit: kWh. Null: not measured in both years.
-- total_consumption_kwh: Total consumption. Unit: kWh. Null: not measured in both years.
-- total_consumption_before_kwh: Total consumption a year before. Unit: kWh. Null: not measured in both years.
WITH held AS (
    SELECT energy.*, plants.name AS plant_name, attributes.plant_group, month_of(energy.local_date) AS month
    FROM energy_daily AS energy
    LEFT JOIN plants ON plants.plant_id = energy.plant_id
    LEFT JOIN plant_attributes AS attributes ON attributes.plant_id = energy.plant_id
    WHERE plants.excluded_from IS NULL OR energy.local_date < plants.excluded_from
), days AS (
    SELECT
        held.plant_id,
        held.plant_name,
        held.plant_group,
        held.month,
        before.plant_id IS NOT NULL AS is_pair,
        CASE WHEN before.pv_generation_kwh IS NOT NULL THEN held.pv_generation_kwh END AS pv_kwh,
        CASE WHEN held.pv_generation_kwh IS NOT NULL THEN before.pv_generation_kwh END AS pv_before_kwh,
        CASE WHEN before.grid_feed_in_kwh IS NOT NULL THEN held.grid_feed_in_kwh END AS feed_in_kwh,
        CASE WHEN held.grid_feed_in_kwh IS NOT NULL THEN before.grid_feed_in_kwh END AS feed_in_before_kwh,
        CASE WHEN before.grid_consumption_kwh IS NOT NULL THEN held.grid_consumption_kwh END AS grid_kwh,
        CASE WHEN held.grid_consumption_kwh IS NOT NULL THEN before.grid_consumption_kwh END AS grid_before_kwh,
        CASE WHEN before.total_consumption_kwh IS NOT NULL THEN held.total_consumption_kwh END AS load_kwh,
        CASE WHEN held.total_consumption_kwh IS NOT NULL THEN before.total_consumption_kwh END AS load_before_kwh
    FROM held
    -- A year before 29 February is 28 February, which is the pair of another day.
    LEFT JOIN energy_daily AS before ON before.plant_id = held.plant_id
        AND before.local_date = CAST(held.local_date - INTERVAL 1 YEAR AS DATE)
        AND day(before.local_date) = day(held.local_date)
        AND before.status = 'complete'
        AND held.status = 'complete'
), months AS (
    SELECT
        plant_id,
        plant_name,
        plant_group,
        month,
        count(*) FILTER (WHERE is_pair) AS n_days,
        count(*) AS n_days_held,
        sum(pv_kwh) AS pv_kwh,
        sum(pv_before_kwh) AS pv_before_kwh,
        sum(feed_in_kwh) AS feed_in_kwh,
        sum(feed_in_before_kwh) AS feed_in_before_kwh,
        sum(grid_kwh) AS grid_kwh,
        sum(grid_before_kwh) AS grid_before_kwh,
        sum(load_kwh) AS load_kwh,
        sum(load_before_kwh) AS load_before_kwh
    FROM days
    GROUP BY ALL
    HAVING n_days > 0
)
SELECT
    CASE WHEN grouping(plant_id) = 0 THEN 'plant' WHEN grouping(plant_group) = 0 THEN 'group' ELSE 'fleet' END AS scope,
    plant_id,
    plant_name,
    plant_group,
    month,
    count(*) AS n_plants,
    CAST(sum(n_days) AS BIGINT) AS n_days,
    CAST(sum(n_days_held) AS BIGINT) AS n_days_held,
    sum(pv_kwh) AS pv_generation_kwh,
    sum(pv_before_kwh) AS pv_generation_before_kwh,
    sum(pv_kwh) / nullif(sum(pv_before_kwh), 0) - 1 AS pv_generation_change,
    sum(feed_in_kwh) AS grid_feed_in_kwh,
    sum(feed_in_before_kwh) AS grid_feed_in_before_kwh,
    sum(grid_kwh) AS grid_consumption_kwh,
    sum(grid_before_kwh) AS grid_consumption_before_kwh,
    sum(load_kwh) AS total_consumption_kwh,
    sum(load_before_kwh) AS total_consumption_before_kwh
FROM months
GROUP BY GROUPING SETS ((plant_id, plant_name, plant_group, month), (plant_group, month), (month))
HAVING grouping(plant_id) = 0 OR grouping(plant_group) = 1 OR plant_group IS NOT NULL
ORDER BY month, scope, plant_group, plant_name, plant_id
