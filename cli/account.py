"""The account that the command line shows."""

from dataclasses import asdict
from datetime import date, datetime, tzinfo
from typing import Any

from custom_components.mtec.models import Inverter, Station
from custom_components.mtec.portal.client import Client

from .errors import MisuseError
from .stand_ins import StandIns


class Account:
    """The account, its stations and inverters as they are chosen and shown."""

    def __init__(self, client: Client, stand_ins: StandIns, zone: tzinfo, *, as_json: bool) -> None:
        self.client = client
        self.stand_ins = stand_ins
        self.as_json = as_json
        self._zone = zone
        self._stations: list[Station] | None = None
        self._inverters: dict[str, list[Inverter]] = {}

    @property
    def today(self) -> date:
        """Today in the plant's time zone."""
        return datetime.now(self._zone).date()

    async def stations(self) -> list[Station]:
        """Return the stations, which are requested once."""
        if self._stations is None:
            self._stations = await self.client.stations()
            for number, station in enumerate(self._stations, start=1):
                self.stand_ins.add(f"station-{number}", station.id, station.name)
        return self._stations

    async def inverters(self, station: Station) -> list[Inverter]:
        """Return the inverters of a station. Those of all stations are requested once, to number their stand-ins."""
        for each in await self.stations():
            if each.id not in self._inverters:
                self._inverters[each.id] = await self.client.inverters(each.id)
        everything = [inverter for inverters in self._inverters.values() for inverter in inverters]
        for number, inverter in enumerate(everything, start=1):
            self.stand_ins.add(f"inverter-{number}", inverter.serial_number, inverter.name)
        return self._inverters[station.id]

    async def chosen(self, name: str | None) -> list[Station]:
        """Return the stations with a name, an id or a stand-in; all for None. Raises MisuseError."""
        stations = await self.stations()
        if name is None:
            return stations
        found = [each for each in stations if name in {each.name, each.id, self.stand_ins.shown(each.id)}]
        if not found:
            names = ", ".join(self.stand_ins.shown(each.name) for each in stations)
            raise MisuseError(f"There is no such station. The account has: {names or 'none'}.")
        return found

    async def the_station(self, name: str | None) -> Station:
        """Return the station with a name, an id or a stand-in; the only one for None. Raises MisuseError."""
        found = await self.chosen(name)
        if not found:
            raise MisuseError("There is no station in this account.")
        if len(found) > 1:
            names = ", ".join(self.stand_ins.shown(each.id if name else each.name) for each in found)
            raise MisuseError(f"There are several stations: {names}. Choose one with --station.")
        return found[0]

    def described(self, thing: Station | Inverter) -> dict[str, Any]:
        """Return the fields of a station or an inverter as they are shown."""
        values = asdict(thing)
        if self.stand_ins.hide:
            stand_in = self.stand_ins.shown(thing.id if isinstance(thing, Station) else thing.serial_number)
            values |= {name: stand_in for name in ("id", "name", "serial_number") if name in values}
        if isinstance(thing, Inverter):
            values["model"] = self.stand_ins.model(thing.model)
        return values
