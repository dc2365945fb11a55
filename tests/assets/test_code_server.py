"""The daemon keeps a code server that answers, where Dagster would start another one each minute."""

from types import SimpleNamespace
from typing import Any

import pytest

from assets.code_server import KeepingDaemon

LONG_AGO = 1_000.0


class CodeServers:
    """Stands for Dagster's registry of code servers: whether those that it has started are gone, and what it does."""

    def __init__(self, *, gone: bool) -> None:
        self.gone, self.dropped = gone, 0

    def are_all_servers_shut_down(self) -> bool:
        return self.gone

    def clear_all_grpc_endpoints(self) -> None:
        self.dropped += 1


class Workspace:
    """Stands for what the daemon knows of its code."""

    def __init__(self, code: object) -> None:
        self.code, self.loaded = code, 0

    def create_request_context(self) -> Any:
        entries = {"sunledger": SimpleNamespace(code_location=self.code)}
        return SimpleNamespace(get_code_location_entries=lambda: entries)

    def refresh_workspace(self) -> None:
        self.loaded += 1


@pytest.mark.parametrize(
    ("code", "gone", "starts"),
    [("loaded", False, 0), ("loaded", True, 1), (None, False, 1)],
    ids=["it answers", "it has ended", "it could not load the code"],
)
def test_another_code_server_is_started_only_where_there_is_none_with_the_code(
    code: object, gone: bool, starts: int
) -> None:
    daemon: Any = object.__new__(KeepingDaemon)
    servers, workspace = CodeServers(gone=gone), Workspace(code)
    daemon._grpc_server_registry, daemon._workspace_process_context = servers, workspace
    assert daemon.check_workspace_freshness(LONG_AGO) > LONG_AGO
    assert (servers.dropped, workspace.loaded) == (starts, starts)
