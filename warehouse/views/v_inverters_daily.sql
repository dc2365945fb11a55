-- table
-- Energy of each inverter and day beside the other inverters of its plant: a low relative_yield points to a fault, shade or a wrong rating. Days with data gaps are not compared.
-- Key: plant_id, device_id, local_date.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave.
-- device_id: Device's id.
-- device_name: Name that the owner gave. Null: not given.
-- product: Product name. Null: not given.
-- local_date: Calendar day in the plant's own time zone.
-- status: complete, partial (rows are missing), missing (no row at all) or provisional (may still change).
-- coverage: Share of the expected time that is covered by rows with a value. Unit: 1. Null: nothing was expected.
-- pv_generation_kwh: PV generation. Unit: kWh. Null: nothing measured.
-- specific_yield_kwh_per_kw: PV generation per kW of the rated AC power of the day. Unit: kWh/kW. Null: nothing measured, or rating not known.
-- relative_yield: Specific yield divided by the median of the plant's inverters whose day is complete. Unit: 1. Null: the inverter is the only one, its day is not complete, or a yield is not known.
WITH moves AS (
-- shared: plant_moves
), present_devices AS (
-- shared: present_devices
), yields AS (
    SELECT
        energy.plant_id,
        plants.name AS plant_name,
        energy.device_id,
        devices.name AS device_name,
        devices.product,
        energy.local_date,
        energy.status,
        energy.coverage,
        energy.pv_generation_kwh,
        1000 * energy.pv_generation_kwh / nullif(
            rated_power(devices.generator_power_w, devices.former_powers, 'generator_power_w', energy.local_date), 0
        ) AS specific_yield_kwh_per_kw
    FROM device_energy_daily AS energy
    LEFT JOIN plants ON plants.plant_id = energy.plant_id
    LEFT JOIN present_devices AS devices ON devices.plant_id = energy.plant_id AND devices.device_id = energy.device_id
    WHERE plants.excluded_from IS NULL OR energy.local_date < plants.excluded_from
)
SELECT
    * EXCLUDE whole_yield,
    CASE WHEN count(whole_yield) OVER siblings > 1
        THEN whole_yield / nullif(median(whole_yield) OVER siblings, 0)
    END AS relative_yield
FROM (SELECT *, CASE WHEN status = 'complete' THEN specific_yield_kwh_per_kw END AS whole_yield FROM yields)
WINDOW siblings AS (PARTITION BY plant_id, local_date)
ORDER BY month_of(local_date), plant_id, device_id, local_date
