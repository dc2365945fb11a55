"""Asset checks: what a person should look at, beside the data that shows it.

Most follow from the functions that declare them (`pipeline.run.check`); here are those that need more of Dagster than a
run's context, or show more than a finding.
"""

import datetime as dt
import warnings
from collections.abc import Mapping

import dagster as dg

from assets.asset_builders import DAYS_PER_RUN, bound_facts, build_day_partitions, convert_errors
from assets.day_partitions import list_run_days
from assets.prefix import build_key
from assets.whole_steps import CHECK_MODULES
from pipeline.common.finding import Finding
from pipeline.common.settings import Settings
from pipeline.common.text import escape_controls, shorten_text
from pipeline.ops import checks
from pipeline.ops.checks import judge_completeness
from pipeline.ops.completeness import measure_completeness
from pipeline.run.check import Check, CheckMoment, collect_checks
from pipeline.run.check_outcomes import keep_outcome
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import list_idle_tables
from pipeline.run.notices import Notices
from pipeline.run.plants import find_chosen_plants
from pipeline.tables.interval_tables import judge_times


def solar_time(sunledger_runtime: dg.ResourceParam[RunContext]) -> dg.AssetCheckResult:
    """Warn, with the plants and the setting to change, when production and sun disagree."""
    with convert_errors():
        found = judge_times(sunledger_runtime)
    noons = {"noon_min": found.noon_min, "other_noon_min": found.other_noon_min}
    return dg.AssetCheckResult(
        passed=found.agrees,
        severity=dg.AssetCheckSeverity.WARN,
        description=escape_controls(shorten_text(found.describe())),
        metadata={
            "read_as": found.read_as,
            "judged": found.judged,
            "otherwise": list(found.otherwise),
            "neither": list(found.neither),
            **{name: value for name, value in noons.items() if value is not None},
        },
    )


def build_declared(settings: Settings, after: CheckMoment) -> list[dg.AssetChecksDefinition]:
    """The checks that functions of `CHECK_MODULES` declare."""
    return [_build_declared(settings, check) for check in collect_checks(CHECK_MODULES, after)]


def _build_declared(settings: Settings, declared: Check) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=declared.name, asset=build_key(settings, declared.asset), description=declared.description
    )
    def check(
        sunledger_runtime: dg.ResourceParam[RunContext], sunledger_notices: dg.ResourceParam[Notices]
    ) -> dg.AssetCheckResult:
        with convert_errors():
            if declared.of_requests:
                sunledger_notices.add(
                    sunledger_runtime.store_requests().build_notices(sunledger_runtime.find_today())
                )
            found = declared.judge_table(sunledger_runtime)
            keep_outcome(sunledger_runtime, declared.name, found)
            return convert_finding(found)

    return check


def _build_drift(settings: Settings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name="drift",
        asset=build_key(settings, "energy_balance_intervals"),
        description="SMA's answers contain no field and no measurement set that sunledger does not know.",
    )
    def drift(
        context: dg.AssetCheckExecutionContext, sunledger_runtime: dg.ResourceParam[RunContext]
    ) -> dg.AssetCheckResult:
        """Warn, with their names, when SMA sends something new."""
        with convert_errors():
            unknown = _read_unknown_fields(context.instance, settings)
            return convert_finding(checks.check_drift(sunledger_runtime, unknown))

    return drift


def build_day_checks_of(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of single days, which belong to their partitions."""
    key = build_key(settings, "energy_daily")
    with warnings.catch_warnings():
        # Delete when partitioned checks leave preview: without them, all days share one timeline.
        warnings.filterwarnings("ignore", "Specifying a partitions_def", dg.PreviewWarning)

        @dg.asset_check(
            name="complete",
            asset=key,
            description="Each plant of the day is complete, or its day may still be completed.",
            partitions_def=build_day_partitions(settings),
        )
        def complete(
            context: dg.AssetCheckExecutionContext, sunledger_runtime: dg.ResourceParam[RunContext]
        ) -> dg.AssetCheckResult:
            with convert_errors():
                days = list_run_days(context.op_execution_context, sunledger_runtime)
                found = judge_completeness(sunledger_runtime, days)
                if len(found) > 1:
                    _report_days(context, key, found)
                return convert_finding(_join_findings(found, _summarize_days(sunledger_runtime, found)))

        @dg.asset_check(
            name="quality",
            asset=key,
            description="At most 1 % of the rows have a value that was set aside.",
        )
        def quality(
            context: dg.AssetCheckExecutionContext, sunledger_runtime: dg.ResourceParam[RunContext]
        ) -> dg.AssetCheckResult:
            with convert_errors():
                days = list_run_days(context.op_execution_context, sunledger_runtime)
                return convert_finding(checks.check_quality(sunledger_runtime, days))

    return [complete, quality]


def convert_finding(finding: Finding) -> dg.AssetCheckResult:
    """A finding as Dagster shows it: its facts as metadata; a severe one that fails is an error, others warn."""
    return dg.AssetCheckResult(
        passed=finding.passed,
        severity=_choose_severity(finding),
        description=escape_controls(shorten_text(finding.text)),
        metadata=bound_facts(finding.facts),
    )


def _choose_severity(finding: Finding) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if finding.severe else dg.AssetCheckSeverity.WARN


def _summarize_days(runtime: RunContext, found: Mapping[dt.date, Finding]) -> str:
    """How complete a run's days are, of the plants that it was limited to; of one day its finding says it."""
    if len(found) == 1:
        return ""
    return measure_completeness(runtime, list(found), find_chosen_plants(runtime)).describe()


def _join_findings(found: Mapping[dt.date, Finding], sentence: str) -> Finding:
    """The findings of a run's days as one: how many are complete, the first bad day, and which others are like it."""
    bad = [day for day, finding in found.items() if not finding.passed]
    if not bad:
        return next(iter(found.values())) if len(found) == 1 else Finding(passed=True, text=sentence)
    first = found[bad[0]]
    facts = dict(first.facts) | {"days_with_gaps": [str(day) for day in bad]}
    return Finding(passed=False, text=f"{sentence} {first.text}".strip(), severe=first.severe, facts=facts)


def _report_days(
    context: dg.AssetCheckExecutionContext, key: dg.AssetKey, found: Mapping[dt.date, Finding]
) -> None:
    """Give each day of a range its own result: the check of a ranged run has only one for all.

    As events of this run: Dagster keeps one result of a day that belongs to no run, and refuses the next.
    """
    run = context.run
    for day, finding in found.items():
        evaluation = dg.AssetCheckEvaluation(
            asset_key=key,
            check_name="complete",
            passed=finding.passed,
            severity=_choose_severity(finding),
            description=escape_controls(shorten_text(finding.text)),
            metadata={
                name: dg.MetadataValue.text(str(value)) for name, value in bound_facts(finding.facts).items()
            },
            partition=str(day),
        )
        event = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
            job_name=run.job_name,
            event_specific_data=evaluation,
        )
        context.instance.report_dagster_event(event, run_id=run.run_id)


def _read_unknown_fields(instance: dg.DagsterInstance, settings: Settings) -> set[str]:
    """The fields that the materializations of the newest lists and days say are unknown."""
    found: set[str] = set()
    newest = {
        "plants": 1,
        "devices": 1,
        "energy_balance_intervals": DAYS_PER_RUN,
        "pv_intervals": DAYS_PER_RUN,
    }
    for table, limit in newest.items():
        for record in instance.fetch_materializations(build_key(settings, table), limit=limit).records:
            materialized = record.asset_materialization
            names = materialized.metadata.get("unknown_fields") if materialized else None
            found |= set(names.value if names and isinstance(names.value, list) else ())
    return found


def list_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks that go with the lists."""
    idle = list_idle_tables(settings)
    declared = build_declared(settings, CheckMoment.LISTS)
    return [one for one in declared if not {key.asset_key.path[-1] for key in one.check_keys} & idle]


def build_day_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks that go with the days, made once for all of them after the last one."""
    described = dg.asset_check(
        asset=build_key(settings, "energy_monthly"),
        description="The energy of the newest stored days is measured while the sun is up, and centred at solar noon.",
    )
    days_own = build_day_checks_of(settings)
    return [
        *days_own,
        _build_drift(settings),
        described(solar_time),
        *build_declared(settings, CheckMoment.DAYS),
    ]


def publish_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks that go with the published file."""
    return build_declared(settings, CheckMoment.PUBLISHING)


def build_vendor_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks that go with SMA's own energies."""
    return build_declared(settings, CheckMoment.VENDOR)
