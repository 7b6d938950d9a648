"""The inverters of an entry that are read in the home network."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final, override

from homeassistant.components.modbus import async_get_unit
from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.const import CONF_HOST, CONF_MODEL, CONF_PORT, CONF_SCAN_INTERVAL
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util

from .const import (
    CONF_FIRMWARE,
    CONF_FRAMING,
    CONF_RATED_POWER,
    CONF_RELEASE,
    CONF_SERIAL_NUMBER,
    CONF_SETTINGS,
    CONF_UNIT_ID,
    NETWORK_INTERVAL,
    SUBENTRY_INVERTER,
)
from .coordinator import MtecCoordinator
from .local.controls import Controls
from .local.errors import OtherInverterError
from .local.exchange import USUAL
from .local.inverter import LocalInverter
from .local.link import Framing, Link
from .models import InverterIdentity, InverterReading, StationReading
from .sources import SourceConnectionError, SourceError
from .time_limit import TimeLimit

TIMING: Final = USUAL
_TIME_LIMIT: Final = timedelta(seconds=60)
_SHORTEST_BREAK: Final = timedelta(seconds=1)


class NetworkInverter(MtecCoordinator[InverterReading]):
    """An inverter in the home network, read by a timer of its own."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry, subentry: ConfigSubentry) -> None:
        data = subentry.data
        self.host: str = data[CONF_HOST]
        self.link = Link(port=data[CONF_PORT], framing=Framing(data[CONF_FRAMING]), unit_id=data[CONF_UNIT_ID])
        self.chosen_interval = timedelta(seconds=data.get(CONF_SCAN_INTERVAL, NETWORK_INTERVAL.total_seconds()))
        self._expected = InverterIdentity(
            serial_number=data[CONF_SERIAL_NUMBER],
            model=data.get(CONF_MODEL),
            firmware=data.get(CONF_FIRMWARE),
            rated_power=data.get(CONF_RATED_POWER),
        )
        self._release: bool = data.get(CONF_RELEASE, False)
        self.has_settings: bool = data.get(CONF_SETTINGS, False)
        self.inverter: LocalInverter | None = None
        self._controls: Controls | None = None
        self._entry = entry
        super().__init__(
            hass,
            entry,
            id_=self._expected.serial_number,
            name=subentry.title,
            fetch=self._async_read,
            limit=TimeLimit(),
            update_interval=self.chosen_interval,
        )

    @property
    def identity(self) -> InverterIdentity:
        """What is known of the inverter, with the firmware that was read last."""
        known = None if self.inverter is None else self.inverter.identity
        return known or self._expected

    @property
    def is_data_kept(self) -> bool:
        """Whether the last read failed, and its data are older."""
        return self.reading is not None and self.error is not None

    @override
    async def async_shutdown(self) -> None:
        await super().async_shutdown()
        if self.inverter is not None:
            self.inverter.close()

    @override
    def _may_keep_data(self, error: SourceError) -> bool:
        return not isinstance(error, OtherInverterError) and super()._may_keep_data(error)

    @override
    async def _async_update_data(self) -> InverterReading:
        started = self.hass.loop.time()
        self._limit.start(_TIME_LIMIT.total_seconds())
        try:
            return await super()._async_update_data()
        finally:
            # The next read is scheduled when this one is over, but intervals are from start to start.
            elapsed = timedelta(seconds=self.hass.loop.time() - started)
            self.update_interval = max(self.chosen_interval - elapsed, _SHORTEST_BREAK)

    async def _async_read(self) -> InverterReading:
        return await self._opened().reading()

    def controls(self) -> Controls:
        """Return the controls of the inverter. Raises SourceError if another integration uses its address."""
        if self._controls is None:
            self._controls = Controls(self._opened(), self.hass.loop.time)
        return self._controls

    def _opened(self) -> LocalInverter:
        if self.inverter is None:
            self.inverter = self._open()
        return self.inverter

    def _open(self) -> LocalInverter:
        try:
            unit = async_get_unit(self.hass, self._entry, self.link.params(self.host), self.link.unit_id)
        except HomeAssistantError as error:
            raise SourceConnectionError("Another integration uses its address with other settings") from error
        return LocalInverter(
            unit,
            time_zone=dt_util.get_default_time_zone(),
            identity=self._expected,
            release=self._release,
            timing=TIMING,
            clock=self.hass.loop.time,
        )


def network_inverters(hass: HomeAssistant, entry: ConfigEntry) -> Iterator[NetworkInverter]:
    """Yield a coordinator for each inverter of an entry that is in the home network."""
    for subentry in entry.subentries.values():
        if subentry.subentry_type == SUBENTRY_INVERTER:
            yield NetworkInverter(hass, entry, subentry)


def station_reading(inverters: Iterable[InverterReading]) -> StationReading:
    """Return the live values of a station that has exactly these inverters. Its energies are not known."""
    readings = [*inverters]
    batteries = [reading.battery for reading in readings]
    # Inverters without a grid meter or a battery have no power of it: often one meter serves them all.
    grid_power = _sum_of_known(reading.grid_power for reading in readings)
    return StationReading(
        pv_power=_sum(reading.pv_power for reading in readings),
        grid_power=grid_power,
        battery_power=_sum_of_known(battery.power for battery in batteries),
        consumption_power=_sum([*(reading.power for reading in readings), grid_power]),
        state_of_charge=_mean(_known(battery.state_of_charge for battery in batteries)),
        grid_outage=_any(_known(reading.grid_outage for reading in readings)),
        backup_power=_sum(reading.backup_power for reading in readings),
    )


def _known[ValueT](values: Iterable[ValueT | None]) -> list[ValueT]:
    return [value for value in values if value is not None]


def _sum(parts: Iterable[float | None]) -> float | None:
    """Return a sum, None if a part of it is not known."""
    parts = [*parts]
    known = _known(parts)
    return sum(known) if len(known) == len(parts) else None


def _sum_of_known(parts: Iterable[float | None]) -> float | None:
    """Return the sum of the parts that are known, None if none is."""
    known = _known(parts)
    return sum(known) if known else None


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _any(flags: list[bool]) -> bool | None:
    return any(flags) if flags else None
