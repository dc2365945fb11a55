select
    month,
    n_plants,
    n_days,
    pv_generation_kwh,
    pv_generation_before_kwh,
    100 * pv_generation_change as pv_generation_change_pct
from {{ source('sunledger', 'v_months_like_for_like') }}
where scope = 'fleet'
