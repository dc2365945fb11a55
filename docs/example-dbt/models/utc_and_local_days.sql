-- A cast of quarter_start to DATE would depend on the session; utc_day does not. Macros of an attached file are called
-- by the file's name.
with local_days as (
    select plant_id, local_date as day, sum(pv_generation_kwh) as local_day_kwh
    from {{ source('sunledger', 'v_energy_quarter_hourly') }}
    group by all
), utc_days as (
    select plant_id, sunledger.utc_day(quarter_start) as day, sum(pv_generation_kwh) as utc_day_kwh
    from {{ source('sunledger', 'v_energy_quarter_hourly') }}
    group by all
)
select plant_id || ' ' || day as plant_day, plant_id, day, local_day_kwh, utc_day_kwh
from local_days
full join utc_days using (plant_id, day)
