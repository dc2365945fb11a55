"""Dagster's configuration of a home on one machine; `assets.home_setup.cluster_home` makes that of several from it."""

# docs/operations.md explains every figure of this file.
CONFIGURATION = """\
# sunledger writes this file once, at the first start. You may change it: see docs/operations.md.
# Without this, usage data would still be written to disk, and nux would ask users for their e-mail address.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    # A run holds a slot of a pool only while one of its assets needs it. Unnamed pools let one in at a time.
    granularity: op
    default_limit: 1
  runs:
    # At most two runs of backfills, so that two runs are left for schedules and people.
    max_concurrent_runs: 4
    tag_concurrency_limits:
      - key: dagster/backfill
        limit: 2
run_coordinator:
  module: dagster
  class: QueuedRunCoordinator
  config:
    # A run whose turn comes while what has loaded the code is started again waits in the queue; it would fail.
    max_user_code_failure_retries: 5
    user_code_failure_retry_delay: 15
run_monitoring:
  enabled: true
  start_timeout_seconds: 300
  cancel_timeout_seconds: 120
  # A month of 1,000 plants needs 220,000 requests, which takes a day at 770 requests in five minutes.
  max_runtime_seconds: 86400
  free_slots_after_run_end_seconds: 30
run_retries:
  # For runs whose process has died. The schedule 'closing' retries failed days up to five times.
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false
retention:
  schedule:
    purge_after_days: {skipped: 7, success: 90, failure: 90, started: 90}
  sensor:
    purge_after_days: {skipped: 2, success: 30, failure: 90, started: 30}
"""
