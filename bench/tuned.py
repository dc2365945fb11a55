"""For each of the first twenty questions the table that an expert would make for it alone, and the query on that.

The table answers the question for every month, plant or period, not only for those that the query names: it is a table
for the question, not its answer. Where that is possible it holds sums already.
"""

_PV = """LEFT JOIN (SELECT plant_id, CAST(date_trunc('month', local_date) AS DATE) AS month,
    sum(covered_h) / sum(expected_h) AS pv_coverage FROM coverage_daily WHERE quantity = 'pv_generation' GROUP BY ALL)
    USING (plant_id, month)"""
_MONTHS = f"""SELECT name AS plant_name, {{columns}} FROM energy_monthly AS e JOIN plants USING (plant_id) {_PV}
    ORDER BY month, plant_name"""
_KPI = f"""SELECT name AS plant_name, month, {{columns}} FROM kpi_monthly JOIN plants USING (plant_id) {_PV}
    ORDER BY month, plant_name"""
_OCTOBER = "month = DATE '2021-10-01'"
_IN_OCTOBER = "local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-31'"

# By the question's number: the table, and the query, which names it `tuned`.
TUNED: dict[int, tuple[str, str]] = {
    1: (
        _MONTHS.format(columns="month, pv_generation_kwh, pv_coverage, status"),
        f"""SELECT plant_name, round(pv_generation_kwh, 1), round(pv_coverage, 3), status FROM tuned
        WHERE {_OCTOBER} ORDER BY plant_name""",
    ),
    2: (
        """SELECT month, count(*) AS n, count(*) FILTER (WHERE status <> 'complete') AS not_complete,
        sum(pv_generation_kwh) AS kwh, sum(covered_h) / sum(expected_h) AS coverage FROM energy_monthly
        GROUP BY month ORDER BY month""",
        """SELECT month, n, not_complete, round(kwh, 1), round(coverage, 3) FROM tuned ORDER BY month""",
    ),
    3: (
        "SELECT plant_id, local_date, pv_generation_kwh, status FROM energy_daily ORDER BY plant_id, local_date",
        """SELECT local_date, round(pv_generation_kwh, 2), status FROM tuned WHERE plant_id = '900001'
        AND local_date BETWEEN DATE '2021-10-01' AND DATE '2021-10-10' ORDER BY local_date""",
    ),
    4: (
        _MONTHS.format(columns="month, pv_generation_kwh / peak_power_kw AS yield, pv_coverage"),
        f"""SELECT plant_name, round(yield, 1) AS kwh_per_kw, round(pv_coverage, 3) FROM tuned
        WHERE {_OCTOBER} AND yield IS NOT NULL ORDER BY kwh_per_kw DESC, plant_name LIMIT 10""",
    ),
    5: (
        """SELECT local_date, name AS plant_name, e.status, greatest(expected_h - covered_h, 0) AS missing_h,
        largest_gap_min FROM energy_daily AS e JOIN plants USING (plant_id)
        WHERE e.status <> 'complete' OR n_flagged > 0 ORDER BY local_date, plant_name""",
        """SELECT local_date, plant_name, status, round(missing_h, 2), round(largest_gap_min) FROM tuned
        WHERE local_date BETWEEN DATE '2021-10-01' AND DATE '2025-12-31' ORDER BY local_date, plant_name LIMIT 10""",
    ),
    6: (
        """SELECT name AS plant_name, min(local_date) FILTER (WHERE n_rows > 0) AS first_day,
        max(local_date) FILTER (WHERE n_rows > 0) AS last_day, count(*) AS n,
        count(*) FILTER (WHERE status = 'complete') AS complete, count(*) FILTER (WHERE status = 'missing') AS missing
        FROM energy_daily JOIN plants USING (plant_id) GROUP BY plant_name ORDER BY plant_name""",
        "SELECT plant_name, first_day, last_day, n, complete, missing FROM tuned ORDER BY plant_name",
    ),
    7: (
        _KPI.format(columns="performance_ratio, performance_ratio_clear_sky, pv_coverage"),
        f"""SELECT plant_name, round(performance_ratio, 3), round(performance_ratio_clear_sky, 3),
        round(pv_coverage, 3) FROM tuned
        WHERE {_OCTOBER} ORDER BY plant_name""",
    ),
    8: (
        """SELECT name AS plant_name, month, performance_ratio_reason FROM kpi_monthly JOIN plants USING (plant_id)
        WHERE performance_ratio IS NULL ORDER BY plant_name""",
        """SELECT plant_name, performance_ratio_reason, count(*) FROM tuned GROUP BY ALL
        ORDER BY plant_name, performance_ratio_reason""",
    ),
    9: (
        _KPI.format(columns="capacity_factor, pv_coverage"),
        f"""SELECT plant_name, round(capacity_factor, 3) AS capacity_factor, round(pv_coverage, 3) FROM tuned
        WHERE {_OCTOBER}
        ORDER BY capacity_factor DESC, plant_name LIMIT 10""",
    ),
    10: (
        _KPI.format(columns="self_consumption_rate, self_supply_rate"),
        f"""SELECT plant_name, round(self_consumption_rate, 3), round(self_supply_rate, 3) FROM tuned
        WHERE {_OCTOBER} AND self_supply_rate IS NOT NULL ORDER BY plant_name""",
    ),
    11: (
        """SELECT month, count(co2_avoided_kg) AS n, sum(co2_avoided_kg) AS co2 FROM kpi_monthly GROUP BY month
        ORDER BY month""",
        "SELECT month, n, round(co2, 1) FROM tuned ORDER BY month",
    ),
    12: (
        """SELECT local_date, name AS plant_name, availability_time, availability_energy FROM kpi_daily
        JOIN plants USING (plant_id) ORDER BY local_date, plant_name""",
        """SELECT local_date, plant_name, round(availability_time, 4), round(availability_energy, 4) FROM tuned
        WHERE availability_time < 1 ORDER BY local_date, plant_name LIMIT 10""",
    ),
    13: (
        """WITH yields AS (SELECT plants.name AS plant_name, devices.name AS device_name, e.plant_id, e.device_id,
        local_date, CASE WHEN e.status = 'complete' THEN 1000 * pv_generation_kwh / generator_power_w END AS yield
        FROM device_energy_daily AS e JOIN plants USING (plant_id) JOIN devices USING (plant_id, device_id)),
        found AS (SELECT *, median(yield) OVER plant AS middle, count(yield) OVER plant AS n FROM yields
        WINDOW plant AS (PARTITION BY plant_id, local_date))
        SELECT plant_id, device_id, plant_name, device_name, local_date, yield / middle AS relative FROM found
        WHERE n > 1 AND middle > 0 AND yield IS NOT NULL ORDER BY local_date, plant_name, device_name""",
        f"""SELECT plant_name, device_name, count(*), round(avg(relative), 3) AS mean FROM tuned WHERE {_IN_OCTOBER}
        GROUP BY plant_id, device_id, plant_name, device_name
        ORDER BY mean, plant_name, device_name, plant_id, device_id LIMIT 10""",
    ),
    14: (
        """SELECT name AS plant_name, arg_max(local_date, pv_generation_kwh) AS best_day,
        max(pv_generation_kwh) AS kwh, arg_max(coverage, pv_generation_kwh) AS coverage
        FROM energy_daily JOIN plants USING (plant_id) GROUP BY plant_name
        ORDER BY plant_name""",
        "SELECT plant_name, best_day, round(kwh, 2), round(coverage, 3) FROM tuned ORDER BY plant_name",
    ),
    15: (
        _MONTHS.format(columns="month, grid_feed_in_kwh, grid_consumption_kwh, coverage"),
        f"""SELECT plant_name, round(grid_feed_in_kwh, 1), round(grid_consumption_kwh, 1), round(coverage, 3)
        FROM tuned
        WHERE {_OCTOBER} AND grid_feed_in_kwh IS NOT NULL ORDER BY plant_name""",
    ),
    16: (
        # Each moment of each zone is turned into local time once: 100 million rows would take minutes.
        """WITH detail AS (SELECT plant_id, timezone, local_date, interval_start, pv_generation_w
        FROM energy_balance_intervals JOIN plants USING (plant_id)),
        moments AS (SELECT DISTINCT timezone, interval_start FROM detail),
        clocks AS (SELECT *, timezone(timezone, interval_start) AS local_start FROM moments)
        SELECT plant_id, local_date, local_start, pv_generation_w FROM detail
        JOIN clocks USING (timezone, interval_start) ORDER BY plant_id, local_start""",
        # Materialized: else DuckDB finds the first ten rows and then looks for them in the whole table again.
        """WITH found AS MATERIALIZED (SELECT local_start, pv_generation_w FROM tuned WHERE plant_id = '900001'
        AND local_date = DATE '2021-10-06' AND local_start >= TIMESTAMP '2021-10-06 12:00')
        SELECT local_start, round(pv_generation_w) FROM found ORDER BY local_start LIMIT 10""",
    ),
    17: (
        """SELECT plant_id, month, local_hour, 1000 * pv_generation_kwh / pv_generation_covered_h AS mean_w
        FROM profile_monthly ORDER BY plant_id, month, local_hour""",
        f"""SELECT local_hour, round(mean_w) AS mean FROM tuned WHERE plant_id = '900001' AND {_OCTOBER} AND mean > 0
        ORDER BY local_hour""",
    ),
    18: (
        """SELECT name AS plant_name, timezone, local_date, interval_end, grid_feed_in_w
        FROM energy_balance_intervals JOIN plants USING (plant_id) ORDER BY local_date, plant_name""",
        f"""SELECT plant_name, round(max(grid_feed_in_w)) AS peak,
        timezone(any_value(timezone), min_by(interval_end, (-grid_feed_in_w, interval_end))) FROM tuned
        WHERE {_IN_OCTOBER} AND grid_feed_in_w > 0 GROUP BY plant_name ORDER BY plant_name""",
    ),
    19: (
        """SELECT month, local_hour, sum(pv_generation_kwh) AS kwh,
        sum(pv_generation_covered_h) AS covered_h FROM profile_monthly GROUP BY ALL ORDER BY ALL""",
        f"""SELECT local_hour, round(kwh, 1) AS pv_kwh, round(covered_h, 1) FROM tuned WHERE {_OCTOBER} AND pv_kwh > 0
        ORDER BY local_hour""",
    ),
    20: (
        # What the question has to split is split here.
        """WITH intervals AS (SELECT plant_id, local_date, grid_consumption_kwh AS kwh,
        epoch_ms(interval_start) AS began, epoch_ms(interval_end) AS ended,
        unnest(range(began // 900000, (ended - 1) // 900000 + 1)) AS quarter
        FROM energy_balance_intervals WHERE grid_consumption_kwh > 0)
        SELECT name AS plant_name, timezone, local_date, quarter,
        kwh * (least(ended, (quarter + 1) * 900000) - greatest(began, quarter * 900000)) / (ended - began) AS kwh
        FROM intervals JOIN plants USING (plant_id) ORDER BY local_date, plant_name, quarter""",
        f"""WITH quarters AS (SELECT plant_name, timezone, quarter, round(sum(kwh) * 4, 6) AS kw
        FROM tuned WHERE {_IN_OCTOBER} GROUP BY ALL)
        SELECT plant_name, round(max(kw), 2) AS peak,
        timezone(any_value(timezone), to_timestamp(min_by(quarter, (-round(kw, 3), quarter)) * 900)) FROM quarters
        GROUP BY plant_name ORDER BY plant_name""",
    ),
}
