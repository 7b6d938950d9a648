"""The stations of a loaded account, and the source of their history."""

from .coordinator import MtecConfigEntry
from .models import Station
from .portal import Client
from .sources import HistorySource


def followed_stations(entry: MtecConfigEntry) -> dict[str, Station]:
    """Return the stations that an account follows, by id."""
    stations = entry.runtime_data.data.stations.values()
    return {station.id: Station(id=station.id, name=station.name) for station in stations}


def station_of_inverter(entry: MtecConfigEntry, serial_number: str) -> str | None:
    """Return the id of an inverter's station, None if the account has no such inverter."""
    inverter = entry.runtime_data.data.inverters.get(serial_number)
    return None if inverter is None else inverter.station_id


def history_source(entry: MtecConfigEntry) -> HistorySource:
    """Return the source of an account's history. Its requests wait while an account is polled."""
    return Client(entry.runtime_data.client.connection, background=True)
