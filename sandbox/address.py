"""Where a sandbox listens, and the settings that point a client at it."""

from dataclasses import dataclass, field

from sandbox.options import DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET


@dataclass(frozen=True, slots=True)
class SandboxAddress:
    """One server plays every role: the bases differ in their path only."""

    url: str
    client_id: str = DEFAULT_CLIENT_ID
    client_secret: str = field(default=DEFAULT_CLIENT_SECRET, repr=False)
    time_basis: str = "plant_local"
    pid: int | None = None

    def settings(self) -> dict[str, str]:
        """The environment of a client that talks to this sandbox."""
        return {
            "SMA_CLIENT_ID": self.client_id,
            "SMA_CLIENT_SECRET": self.client_secret,
            "SMA_FLOW": "custom",
            "SMA_AUTH_URL": self.url,
            "SMA_CONSENT_URL": self.url,
            "SMA_MONITORING_URL": f"{self.url}/monitoring",
            "SMA_LIVE_URL": f"{self.url}/live",
            "SMA_GRIDCONTROL_URL": f"{self.url}/gridcontrol",
            "SMA_TIME_BASIS": self.time_basis,
        }
