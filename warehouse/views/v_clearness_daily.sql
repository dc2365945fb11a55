-- view
-- How clear the sky of each plant was on each day, so that soiling and degradation can be judged on clear days alone. clear_sky_ratio is the irradiation by that of a cloudless sky (a clear-sky index), or where irradiation is not measured the plant's own yield by it (performance_ratio_clear_sky). Plane, shade and dirt are in that ratio and change slowly, so clearness compares it with the clearest days around.
-- Key: plant_id, local_date.
--
-- plant_id: Plant's id.
-- plant_name: Name that the owner gave.
-- local_date: Calendar day in the plant's own time zone.
-- clear_sky_ratio: Irradiation or yield of the day by that of a cloudless sky. Unit: 1. Null: see clearness_reason.
-- clear_sky_ratio_of: irradiation (measured or supplied) or yield. Null: see clearness_reason.
-- clearness: clear_sky_ratio divided by its 90 % quantile of at most 15 days before and after. Unit: 1. Null: see clearness_reason.
-- is_clear: Whether clearness is at least 0.95 and that quantile is at least 0.75 of the one of half a year before and after: in a month without a clear day, no day is clear. Null: see clearness_reason.
-- clearness_reason: Why there is no clearness: not_complete (the day has data gaps), no_ratio (kpi_daily has neither ratio, and says why), too_few_days (fewer than 10 days around have a ratio). Null: there is one.
-- performance_ratio: Performance ratio by measured irradiation. Unit: 1. Null: see kpi_daily.
-- performance_ratio_clear_sky: Yield by that of a cloudless sky: on clear days without a sensor, its trend is that of the plant. Unit: 1. Null: see kpi_daily.
-- plant_group: Group of the plant by plant_attributes. Null: none.
WITH ratios AS (
    SELECT
        kpi.plant_id,
        plants.name AS plant_name,
        kpi.local_date,
        kpi.status,
        kpi.performance_ratio,
        kpi.performance_ratio_clear_sky,
        kpi.reference_yield_h / nullif(kpi.reference_yield_clear_sky_h, 0) AS by_irradiation,
        coalesce(by_irradiation, kpi.performance_ratio_clear_sky) AS ratio,
        CASE WHEN by_irradiation IS NOT NULL THEN 'irradiation' ELSE 'yield' END AS ratio_of,
        CASE WHEN kpi.status = 'complete' THEN ratio END AS whole_ratio,
        attributes.plant_group
    FROM kpi_daily AS kpi
    LEFT JOIN plants ON plants.plant_id = kpi.plant_id
    LEFT JOIN plant_attributes AS attributes ON attributes.plant_id = kpi.plant_id
    WHERE plants.excluded_from IS NULL OR kpi.local_date < plants.excluded_from
), compared AS (
    SELECT *,
        CASE
            WHEN status <> 'complete' THEN 'not_complete'
            WHEN whole_ratio IS NULL THEN 'no_ratio'
            WHEN count(whole_ratio) OVER around < 10 THEN 'too_few_days'
        END AS reason,
        quantile_cont(whole_ratio, 0.9) OVER around AS clearest,
        quantile_cont(whole_ratio, 0.9) OVER season AS clearest_of_season
    FROM ratios
    WINDOW
        around AS (
            PARTITION BY plant_id, ratio_of ORDER BY local_date
            RANGE BETWEEN INTERVAL 15 DAY PRECEDING AND INTERVAL 15 DAY FOLLOWING
        ),
        season AS (
            PARTITION BY plant_id, ratio_of ORDER BY local_date
            RANGE BETWEEN INTERVAL 183 DAY PRECEDING AND INTERVAL 183 DAY FOLLOWING
        )
)
SELECT
    plant_id,
    plant_name,
    local_date,
    CASE WHEN reason IS NULL THEN ratio END AS clear_sky_ratio,
    CASE WHEN reason IS NULL THEN ratio_of END AS clear_sky_ratio_of,
    CASE WHEN reason IS NULL THEN ratio / nullif(clearest, 0) END AS clearness,
    CASE WHEN reason IS NULL THEN ratio >= 0.95 * clearest AND clearest >= 0.75 * clearest_of_season END AS is_clear,
    reason AS clearness_reason,
    performance_ratio,
    performance_ratio_clear_sky,
    plant_group
FROM compared
ORDER BY local_date, plant_name, plant_id
