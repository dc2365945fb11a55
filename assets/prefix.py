"""Asset keys below a prefix, and names with it: for who merges the graph into a project with assets of its own.

The prefix is a setting, because the command line records its runs under the same keys as the page's.
"""

from collections.abc import Iterable

import dagster as dg

from pipeline.common.settings import Settings

LINEAGE = "dagster/column_lineage"


def split_prefix(settings: Settings) -> list[str]:
    """The parts of the prefix of asset keys; none by default."""
    return settings.asset_prefix.split("/") if settings.asset_prefix else []


def build_key(settings: Settings, table: str) -> dg.AssetKey:
    """The key of the asset of that name."""
    return dg.AssetKey([*split_prefix(settings), table])


def build_name(settings: Settings, name: str) -> str:
    """The name of a job, schedule or sensor: of those, too, a project has one of each name."""
    return "_".join([*split_prefix(settings), name])


def add_prefix(assets: Iterable[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets with the prefix before their keys, those of their inputs, and those of their columns' parents."""
    prefix = split_prefix(settings)
    if not prefix:
        return list(assets)
    replaced = [
        asset.with_attributes(
            asset_key_replacements={key: key.with_prefix(prefix) for key in _list_keys(asset)}
        )
        for asset in assets
    ]

    def lead(spec: dg.AssetSpec) -> dg.AssetSpec:
        lineage = spec.metadata.get(LINEAGE)
        if not isinstance(lineage, dg.TableColumnLineage):
            return spec
        parents = {
            column: [dg.TableColumnDep(dep.asset_key.with_prefix(prefix), dep.column_name) for dep in deps]
            for column, deps in lineage.deps_by_column.items()
        }
        return spec.merge_attributes(metadata={LINEAGE: dg.TableColumnLineage(parents)})

    return list(dg.map_asset_specs(lead, replaced))


def _list_keys(asset: dg.AssetsDefinition) -> set[dg.AssetKey]:
    inputs = {dep.asset_key for spec in asset.specs for dep in spec.deps}
    return {*asset.keys, *asset.keys_by_input_name.values(), *inputs}
