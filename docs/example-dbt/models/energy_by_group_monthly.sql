select
    coalesce(plant_group, '(none)') || ' ' || month as group_month,
    plant_group,
    month,
    count(*) as n_plants,
    count(*) filter (status <> 'complete') as n_plants_not_complete,
    sum(pv_generation_kwh) as pv_generation_kwh,
    sum(grid_feed_in_kwh) as grid_feed_in_kwh
from {{ source('sunledger', 'v_energy_monthly') }}
group by plant_group, month
