"""How the daemon keeps its code server: another one takes its place only where it no longer answers.

Dagster's daemon starts a new code server each minute, in case the code has become another one. Ours changes with an
installation alone, before which the daemon is stopped, and each start loads the whole program: 4 s of processor time
each minute for as long as the daemon runs, and for a third of it the memory of two.
"""

import time

# Dagster's command line makes its daemon from this name, and takes no other class. It has no public one.
from dagster._daemon import controller


class KeepingDaemon(controller.DagsterDaemonController):
    """Dagster's own, which keeps a code server that answers."""

    def check_workspace_freshness(self, last_workspace_update_time: float) -> float:
        """Dagster asks each 5 s with what this returned before: when its code server was last known to be well."""
        now = time.time()
        if now - last_workspace_update_time > controller.RELOAD_WORKSPACE_INTERVAL and self._has_code():
            return now
        return super().check_workspace_freshness(last_workspace_update_time)

    def _has_code(self) -> bool:
        """Whether the code was loaded, and a server that has it answers."""
        workspace = self._workspace_process_context.create_request_context()
        servers = self._grpc_server_registry
        loaded = all(entry.code_location for entry in workspace.get_code_location_entries().values())
        return loaded and servers is not None and not servers.are_all_servers_shut_down()


def keep_code_server() -> None:
    """Have the daemon of this process keep a code server that answers."""
    controller.DagsterDaemonController = KeepingDaemon  # type: ignore[misc]
