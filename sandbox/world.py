"""The state of one sandbox server: its clock, clients, plants, consents and what has been changed since it started."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import as_file, files
from itertools import cycle
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sandbox.fleet.ids import build_device_id, build_ennexos_id
from sandbox.fleet.plant_model import Array, Device, Plant, Role
from sandbox.fleet.simulated_fleet import build_fleet
from sandbox.fleet.sites import Site
from sandbox.granted_consents import SandboxConsents
from sandbox.options import Options, Replay
from sandbox.sandbox_clock import SandboxClock
from sandbox.series.flow_cache import FlowCache
from sandbox.series.replayed import RecordingError, ReplaySource, read_recording
from sandbox.series.simulated_source import SimulatedSource
from sandbox.series.table import Source
from sandbox.tokens import Access, Client, TokenStore

PLANT_ID = re.compile(r"[0-9]{1,18}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOST_KW = 1e6

RECORDINGS_OWNER = "recordings@example.com"

_RECORDINGS = (
    Replay(
        Path("sb4000tl_melbourne.parquet"),
        timezone="Australia/Brisbane",  # the recorder's clock stood at UTC+10 all year
        rated_kw=4.0,
        name="Recorded: SB 4000TL-21, Melbourne",
        plant_id="900001",
        latitude=-37.81,
        longitude=144.96,
        country="AU",
    ),
    Replay(
        Path("stp6000_netherlands.parquet"),
        timezone="Europe/Amsterdam",
        rated_kw=6.0,
        name="Recorded: STP 6000, Netherlands",
        plant_id="900002",
        latitude=52.1,
        longitude=5.3,
        country="NL",
    ),
)


class World:
    """Everything that the services share. Ids are looked up exactly; the owner's consent decides what is seen."""

    def __init__(self, options: Options, clock: SandboxClock | None = None) -> None:
        """Build the fleet; raises RecordingError if a replay cannot be read."""
        self.options = options
        self.clock = clock if clock is not None else SandboxClock()
        self.tokens = TokenStore(self.clock)
        self.clients = {
            **{one: Client(one, options.client_secret, "custom") for one in options.custom_client_ids},
            options.code_client_id: Client(options.code_client_id, options.code_client_secret, "code"),
        }
        # Grows with every change that makes a kept answer stale.
        self.version = 0
        # Old plant or device id -> new id, of what moved from Classic to ennexOS.
        self.moved: dict[str, str] = {}
        # How many requests of each client named a plant that it may not see.
        self.strangers: Counter[str] = Counter()
        self._sources: dict[str, Source] = {}
        self._devices: dict[str, tuple[str, Device]] = {}
        self._plants_of: dict[str, set[str]] = {}
        self._flows = FlowCache(options.seed)
        self.consents = SandboxConsents(self.clock, self._plants_of, options.consent_after_s)
        for source in _open_sources(options, self._flows):
            self._add(source)
        self._grant_consents()

    def plants(self, access: Access) -> Iterator[Plant]:
        """The plants that this token may see, in a stable order."""
        return (source.plant for source in self._sources.values() if self.may_see(access, source.plant))

    def source(self, plant_id: str) -> Source | None:
        """The plant's measurements."""
        return self._sources.get(plant_id)

    def sources(self) -> Iterable[Source]:
        """All plants, whoever may see them."""
        return self._sources.values()

    def device(self, device_id: str) -> tuple[Source, Device] | None:
        """A device with its plant's measurements."""
        found = self._devices.get(device_id)
        return (self._sources[found[0]], found[1]) if found else None

    def may_see(self, access: Access, plant: Plant) -> bool:
        """Code flow: the user's own plants. Custom flow: plants whose owner has consented."""
        if access.user is not None:
            return plant.owner == access.user
        return self.consents.covers(access.client.client_id, plant.owner, plant.plant_id)

    def check_access(self, access: Access, plant: Plant) -> bool:
        """`may_see` for a request that names the plant; what may not be seen is counted."""
        seen = self.may_see(access, plant)
        if not seen:
            self.strangers[access.client.client_id] += 1
        return seen

    def is_owner(self, login: str) -> bool:
        """Whether this e-mail owns a plant."""
        return bool(self._plants_of.get(login))

    def owners(self, plant_ids: Iterable[str]) -> set[str]:
        """Who owns these plants; unknown plants have no owner."""
        return {self._sources[plant_id].plant.owner for plant_id in plant_ids if plant_id in self._sources}

    def revoke(self, owners: Collection[str] | None = None) -> None:
        """These owners (or all) revoke their consents of the custom flow and their logins of the code flow."""
        self.consents.revoke(owners)
        self.tokens.end_logins(owners)

    def lose_owner(self, plant_ids: Iterable[str]) -> None:
        """Nobody owns these plants any more: no consent covers them, and nobody can give one."""
        for plant_id in plant_ids:
            source = self._sources.get(plant_id)
            if source is not None:
                self._plants_of.get(source.plant.owner, set()).discard(plant_id)
                source.plant = replace(source.plant, owner="")
                self.consents.forget_plants((plant_id,))

    def add_plants(self, count: int) -> list[str]:
        """Owners get new plants (the fleet grows by `count`), which no consent covers yet; returns their ids."""
        known = sum(source.plant.index >= 0 for source in self._sources.values())
        grown = build_fleet(known + count, self.options.seed, hostile_names=self.options.hostile_names)[
            known:
        ]
        for plant in grown:
            self._add(SimulatedSource(plant, self._flows))
        return [plant.plant_id for plant in grown]

    def migrate(self, plant_id: str) -> str | None:
        """Move a simulated Classic plant to ennexOS: new ids, same energy. Returns the new id, None if impossible."""
        source = self._sources.get(plant_id)
        if not isinstance(source, SimulatedSource) or not source.plant.classic:
            return None
        old = source.plant
        new_id = build_ennexos_id(1_000_000 + old.index)
        devices = tuple(
            replace(
                device, device_id=new_id if device.role is Role.PLANT else build_device_id(new_id, number)
            )
            for number, device in enumerate(old.devices, start=1)
        )
        moved = replace(
            old, plant_id=new_id, devices=devices, delay_s=300, former_ids=(*old.former_ids, plant_id)
        )
        for before, after in zip(old.devices, devices, strict=True):
            self.moved[before.device_id] = after.device_id
            self._devices.pop(before.device_id, None)
        self.moved[plant_id] = new_id
        self._sources = {
            (new_id if key == plant_id else key): (
                SimulatedSource(moved, self._flows) if key == plant_id else kept
            )
            for key, kept in self._sources.items()
        }
        self._devices |= {device.device_id: (new_id, device) for device in devices}
        self._plants_of.setdefault(old.owner, set()).add(new_id)
        self.consents.rename_plant(plant_id, new_id)
        self.version += 1
        return new_id

    def _add(self, source: Source) -> None:
        plant = source.plant
        if plant.plant_id in self._sources:
            raise RecordingError(f"Two plants have the id {plant.plant_id}: give another id with --plant-id.")
        self._sources[plant.plant_id] = source
        self._devices |= {device.device_id: (plant.plant_id, device) for device in plant.devices}
        self._plants_of.setdefault(plant.owner, set()).add(plant.plant_id)

    def _grant_consents(self) -> None:
        """All owners have consented, except the last `owners_without_consent` of the simulated ones, at most all.

        With several clients of the custom flow, owners have consented to one of them each, in turn.
        """
        clients = cycle(self.options.custom_client_ids)
        simulated = [owner for owner in self._plants_of if owner.startswith("owner")]
        silent = set(simulated[max(0, len(simulated) - self.options.owners_without_consent) :])
        for owner, client_id in zip(self._plants_of, clients, strict=False):
            if owner not in silent:
                self.consents.grant(client_id, owner)


def _open_sources(options: Options, flows: FlowCache) -> Iterator[Source]:
    if options.recordings:
        for recording in _RECORDINGS:
            with as_file(files("sandbox") / "recordings" / recording.path.name) as path:
                yield _open_recordings(replace(recording, path=path), 0)
    for number, replay in enumerate(options.replays, start=1):
        yield _open_recordings(replay, number)
    for plant in build_fleet(options.plants, options.seed, hostile_names=options.hostile_names):
        yield SimulatedSource(plant, flows)


def _open_recordings(replay: Replay, number: int) -> ReplaySource:
    """A replay as a plant with one inverter. Raises RecordingError."""
    plant_id = (replay.plant_id or str(910_000 + number)).lower()
    _check_replay(replay, plant_id)
    recording = read_recording(replay.path)
    rated_w = replay.rated_kw * 1000
    inverter = Device(
        device_id=build_device_id(plant_id, 0) + "1" if plant_id.isdigit() else build_device_id(plant_id, 1),
        name="Inverter 1",
        role=Role.INVERTER,
        product="Recorded inverter",
        product_id=9000,
        serial=str(1_900_000_000 + int(hashlib.blake2b(plant_id.encode(), digest_size=3).hexdigest(), 16)),
        generator_power_w=rated_w,
        share=1.0,
    )
    site = Site("", replay.country, "", "", replay.latitude, replay.longitude, replay.timezone, "EUR")
    plant = Plant(
        plant_id=plant_id,
        index=-1,
        name=replay.name or f"Recorded: {replay.path.stem}",
        site=site,
        array=Array(rated_w, rated_w, 20.0, 180.0 if replay.latitude >= 0 else 0.0),
        started_at=datetime.fromtimestamp(int(recording.ends[0]) - recording.step_s, UTC),
        owner=RECORDINGS_OWNER,
        devices=(inverter,),
        step_s=recording.step_s,
        delay_s=0,
        metered=False,
    )
    return ReplaySource(plant, recording)


def _check_replay(replay: Replay, plant_id: str) -> None:
    """Raise RecordingError for what no plant can have."""
    try:
        ZoneInfo(replay.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise RecordingError(
            f"Unknown time zone {replay.timezone!r}: give an IANA name such as Europe/Berlin."
        ) from error
    if not PLANT_ID.fullmatch(plant_id):
        raise RecordingError(
            f"{plant_id[:60]!r} is not a plant id: give digits (ennexOS) or a GUID (Classic)."
        )
    if not 0 < replay.rated_kw < MOST_KW:
        raise RecordingError(
            f"A rated power of {replay.rated_kw:g} kW is impossible: give the inverter's power in kW."
        )
    for name, degrees, most in (("latitude", replay.latitude, 90), ("longitude", replay.longitude, 180)):
        if not -most <= degrees <= most:
            raise RecordingError(
                f"A {name} of {degrees:g} is impossible: give degrees from -{most} to {most}."
            )
