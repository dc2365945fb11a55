"""What a plant and a device are. Figures are W, Wh, degrees and V; times are UTC unless said otherwise."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sandbox.fleet.sites import Site


class Role(StrEnum):
    """What a device measures; SMA's own `type` text follows from it."""

    INVERTER = "Solar Inverters"
    BATTERY = "Battery Inverter"
    GATEWAY = "Monitoring and control"
    SENSOR = "Sensor technology"
    METER = "Energy Meter"
    SOCKET = "Remote Socket"
    CHARGER = "charging station"
    PLANT = "plant"


@dataclass(frozen=True, slots=True)
class Device:
    """One device of a plant. `share` is an inverter's part of the plant's PV power, from 0 to 1.

    `section` is the number of the plant's section that it stands in, where the plant has sections.
    """

    device_id: str
    name: str
    role: Role
    product: str
    product_id: int
    serial: str | None = None
    generator_power_w: float | None = None
    share: float = 0.0
    installed_at: float = 0.0
    deactivated_at: float | None = None
    section: int | None = None

    @property
    def type(self) -> str:
        """SMA's name for the type: a charging station is typed as a solar inverter, and so is a plant."""
        return "Solar Inverters" if self.role in (Role.CHARGER, Role.PLANT) else self.role.value


@dataclass(frozen=True, slots=True)
class Array:
    """The PV modules: peak power, and where they look (azimuth 180 = south)."""

    peak_w: float
    ac_rated_w: float
    tilt_deg: float
    azimuth_deg: float


@dataclass(frozen=True, slots=True)
class Battery:
    """Usable energy and the highest power in or out; the one-way efficiency holds in both directions."""

    capacity_wh: float
    power_w: float
    efficiency: float = 0.97


@dataclass(frozen=True, slots=True)
class Plant:
    """One plant, simulated (`index` >= 0) or replayed (`index` -1).

    `step_s` is the length of a row; `delay_s` is how long after its end a row can be read (the portal's processing).
    """

    plant_id: str
    index: int
    name: str
    site: Site
    array: Array
    started_at: datetime
    owner: str
    devices: tuple[Device, ...]
    step_s: int = 300
    delay_s: int = 300
    metered: bool = True
    battery: Battery | None = None
    diesel_w: float = 0.0
    load_kwh_year: float = 4500.0
    charger_w: float = 0.0
    has_installation: bool = True
    nominal_power_given: bool = True
    description: str | None = None
    former_ids: tuple[str, ...] = field(default=())
    group_id: str | None = None

    @property
    def zone(self) -> str:
        """The IANA name of the plant's time zone."""
        return self.site.zone

    @property
    def classic(self) -> bool:
        """Whether the plant lives on Sunny Portal Classic: its id is a GUID."""
        return "-" in self.plant_id

    @property
    def sections(self) -> list[int]:
        """The numbers of the plant's sections; none where it has no sections."""
        return sorted({device.section for device in self.devices if device.section is not None})

    def section_id(self, section: int) -> str:
        """The id of a section."""
        return f"{self.plant_id}-s{section}"

    def with_role(self, role: Role) -> tuple[Device, ...]:
        """The devices of one role."""
        return tuple(device for device in self.devices if device.role is role)
