"""The shortest way to a day's rows: no routing, no middleware, no task; all of these take longer than the answer.

What is not answered here goes the long way, through the application. Both give the same bytes.
"""

import re
from collections.abc import Iterable
from datetime import date

from sandbox.faults.fault_plan import FaultPlan
from sandbox.http_answers import JSON
from sandbox.series import set_names
from sandbox.services.gateway import TokenBucket, format_http_date
from sandbox.services.hosts import SandboxHosts
from sandbox.services.lookup import FoundResource
from sandbox.services.measurements import MeasurementService
from sandbox.tokens import Access
from sandbox.world import World

_QUESTION = re.compile(
    r"/monitoring/v1/(?:plants/(?P<plant>[0-9a-f-]+)|devices/(?P<device>[0-9a-f-]+))"
    r"/measurements/sets/(?P<set>[A-Za-z]+)/(?i:day)\?(?i:date)=(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
)
_HAS_BODY = (b"content-length", b"transfer-encoding")
_HEAD = f"HTTP/1.1 200 OK\r\ncontent-length: %d\r\ncontent-type: {JSON}\r\ndate: %b\r\n\r\n".encode()

Headers = Iterable[tuple[bytes, bytes]]


class Express:
    """Answers plain questions for a day while neither a fault nor a request budget is switched on."""

    def __init__(
        self,
        world: World,
        plan: FaultPlan,
        bucket: TokenBucket,
        hosts: SandboxHosts,
        measurements: MeasurementService,
    ) -> None:
        """Answer from `measurements`, unless `plan`, `bucket` or `hosts` has a say."""
        self._world, self._plan, self._bucket, self._hosts = world, plan, bucket, hosts
        self._measurements = measurements

    def answer(self, url: bytes, headers: Headers) -> tuple[bytes, bytes] | None:
        """Head and body of the answer to a GET with these headers (names in lower case); None: ask the application."""
        if self._plan.held or self._bucket.size is not None:
            return None
        asked = _QUESTION.fullmatch(url.decode("latin-1"))
        access = self._find_access(headers)
        if asked is None or access is None:
            return None
        found = self._look_up(asked, access)
        set_type = set_names.BY_LOWER_NAME.get(asked["set"].lower())
        try:
            day = date.fromisoformat(asked["date"])
        except ValueError:
            return None
        if found is None or set_type is None:
            return None
        body = self._measurements.day(found, set_type, day)
        return _HEAD % (len(body), format_http_date(int(self._world.clock.now()))), body

    def _find_access(self, headers: Headers) -> Access | None:
        token, hosts = b"", []
        for name, value in headers:
            if name == b"authorization":
                token = token or value
            elif name == b"host":
                hosts.append(value)
            elif name in _HAS_BODY:
                return None
        if not token.startswith(b"Bearer ") or self._hosts.refusal(hosts) is not None:
            return None
        return self._world.tokens.access(token[7:].decode("latin-1"))

    def _look_up(self, asked: re.Match[str], access: Access) -> FoundResource | None:
        if asked["plant"] is not None:
            source, device = self._world.source(asked["plant"]), None
        else:
            source, device = self._world.device(asked["device"]) or (None, None)
        return (
            FoundResource(source, device, self._world.check_access(access, source.plant))
            if source is not None
            else None
        )
