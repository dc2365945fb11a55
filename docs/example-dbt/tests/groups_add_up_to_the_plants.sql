-- A test of dbt fails if it finds rows.
with sums as (
    select
        (select sum(pv_generation_kwh) from {{ ref('energy_by_group_monthly') }}) as of_groups,
        (select sum(pv_generation_kwh) from {{ source('sunledger', 'v_energy_monthly') }}) as of_plants
)
select * from sums where abs(of_groups - of_plants) > 1e-6
