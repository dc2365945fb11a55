"""Settings of SMA's services. Their variables begin with SMA_, all others with SUNLEDGER_."""

from typing import Any, Literal

from pydantic import Field, SecretStr

from pipeline.common.setting_values import AbsolutePath, BaseUrl, SettingGroup
from pipeline.common.sma_hosts import HOSTS


def _declare_sma_field(name: str, description: str, **kwargs: Any) -> Any:
    """A field read from SMA_... as it is: the alias keeps the SUNLEDGER_ prefix away."""
    return Field(validation_alias=name, description=description, **kwargs)


def _declare_host(role: str, description: str) -> Any:
    """A service's base URL, by default that of the chosen environment."""
    return _declare_sma_field(
        f"sma_{role}_url",
        f"{description}. Default: set by SMA_ENVIRONMENT.",
        default_factory=lambda data: getattr(HOSTS[data["sma_environment"]], role),
    )


class SmaSettings(SettingGroup):
    """SMA's services."""

    sma_client_id: str = _declare_sma_field(
        "sma_client_id", "Client id from SMA's developer portal. Default: none.", default=""
    )
    sma_client_secret: SecretStr = _declare_sma_field(
        "sma_client_secret",
        "Client secret from SMA's developer portal. Default: none.",
        default=SecretStr(""),
    )
    sma_flow: Literal["custom", "code"] = _declare_sma_field(
        "sma_flow",
        "How owners grant access: custom (they consent by e-mail) or code (one user logs in). Default: custom.",
        default="custom",
    )
    sma_refresh_token: SecretStr = _declare_sma_field(
        "sma_refresh_token",
        "Refresh token of the code flow, used once instead of `sunledger login`. Default: none.",
        default=SecretStr(""),
    )
    sma_credentials: AbsolutePath | None = _declare_sma_field(
        "sma_credentials",
        "Private file (TOML, mode 0600) that lists several credentials, each with its client id, secret, flow and "
        "request budget, instead of SMA_CLIENT_ID, SMA_CLIENT_SECRET, SMA_FLOW and SMA_REFRESH_TOKEN; see "
        "docs/access.md. Default: none, so that there is one credential.",
        default=None,
    )
    sma_environment: Literal["sandbox", "production"] = _declare_sma_field(
        "sma_environment",
        "SMA's environment, sandbox or production, which sets the URLs below. Default: sandbox.",
        default="sandbox",
    )
    sma_auth_url: BaseUrl = _declare_host("auth", "Token and login service, the part before /oauth2")
    sma_consent_url: BaseUrl = _declare_host("consent", "Owner consent service, the part before /oauth2")
    sma_monitoring_url: BaseUrl = _declare_host("monitoring", "Monitoring API, the part before /v1")
    sma_live_url: BaseUrl = _declare_host("live", "Live API, the part before /v1")
    sma_gridcontrol_url: BaseUrl = _declare_host("gridcontrol", "GridControl API, the part before /v1")
    sma_time_basis: Literal["utc", "plant_local"] = _declare_sma_field(
        "sma_time_basis",
        "Time basis of the times without an offset in SMA's answers: utc (by SMA's FAQ) or plant_local. Default: utc.",
        default="utc",
    )
    sma_merged_hour: Literal["gap", "mean"] = _declare_sma_field(
        "sma_merged_hour",
        "Meaning of a row that came only once in the repeated hour of autumn: the power of one pass, the other pass "
        "being a data gap (gap), or the mean of both passes (mean). Default: gap.",
        default="gap",
    )
    sma_requests_per_5_min: int | None = _declare_sma_field(
        "sma_requests_per_5_min",
        "Most requests in any 5 minutes by all processes that share SUNLEDGER_HOME (or SUNLEDGER_BUDGET_URL). "
        "Default: none, so that only responses with status 429 slow a run down.",
        default=None,
        ge=1,
    )
    sma_max_connections: int = _declare_sma_field(
        "sma_max_connections",
        "Most connections to SMA that are open at the same time. Default: 16.",
        default=16,
        ge=1,
        le=256,
    )
    sma_max_answer_bytes: int = _declare_sma_field(
        "sma_max_answer_bytes",
        "Size of the largest accepted answer in bytes, decompressed. Default: 33554432 (32 MiB); a plant-day has 100 "
        "kB.",
        default=32 * 2**20,
        ge=1,
    )
