-- Two sums beside each other and no join by month: the month of a PU is that in which requests were sent, whatever days
-- they asked for, so a backfill of a year is billed in one month. Money is DECIMAL, and its sum is exact.
with units as (
    select
        plant_id,
        count(*) as n_units,
        count(*) filter (fee_eur is null) as n_unpriced,
        sum(fee_eur) as fee_eur
    from {{ source('sunledger', 'billing_units') }}
    group by plant_id
), energy as (
    select plant_id, sum(pv_generation_kwh) as pv_generation_kwh
    from {{ source('sunledger', 'v_energy_monthly') }}
    group by plant_id
)
select
    plant_id,
    plants.name as plant_name,
    units.n_units,
    units.n_unpriced,
    units.fee_eur,
    energy.pv_generation_kwh,
    units.fee_eur / nullif(energy.pv_generation_kwh / 1000, 0) as eur_per_mwh
from units
left join energy using (plant_id)
left join {{ source('sunledger', 'plants') }} as plants using (plant_id)
