"""Generation 2 of the portal's API: what only it has, how it is found, and a portal that moves to it and back."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
from aiohttp import web
from freezegun.api import FrozenDateTimeFactory
from homeassistant.const import CONF_EMAIL, CONF_URL, STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
import pytest

from custom_components.mtec.const import CONF_GENERATION, GRACE_POLLS, LOOKUP_INTERVAL
from custom_components.mtec.models import (
    BackupReading,
    BatteryMode,
    BatteryReading,
    Energies,
    Inverter,
    InverterReading,
    PhaseReading,
    ReadingSource,
    StationReading,
    UsageRow,
    WorkStatus,
)
from custom_components.mtec.portal import Client, Connection, Credentials, RateLimiter, digest_of
from custom_components.mtec.sources import AuthenticationError, ResponseError, SourceError
from tests.conftest import GENERATION1, GENERATION2, NOON, VILLAGE, SetUp
from tests.dialogs import sign_in
from tests.home import poll, reload
from tests.odd_portal import odd_portal, success
from tests.portal_simulator import BARN, FARM, HOUSE, PlantDescription, PortalSimulator, Station, plant_of

BERLIN = ZoneInfo("Europe/Berlin")
LOGINS = {1: "/api/sys/login/manager", 2: "/monitor/auth/login"}

DIRECTIONS = pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)], ids=["forth", "back"])
SILENCES = pytest.mark.parametrize("silent_page", [False, True], ids=["not_found", "page"])


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def client_of(
    http: aiohttp.ClientSession, simulator: PortalSimulator, generation: int | None = None, email: str = VILLAGE
) -> Client:
    credentials = Credentials(email, digest_of(simulator.accounts[email].password))
    return Client(
        Connection(
            http, credentials, time_zone=BERLIN, url=simulator.url, rate_limiter=RateLimiter(0), api_version=generation
        )
    )


def logins(simulator: PortalSimulator) -> list[int]:
    """Return the generations in which a login was tried, in order."""
    return [number for call in simulator.requests for number, path in LOGINS.items() if call.path == path]


# What only it has


def near(value: Any, abs: float) -> Any:  # noqa: A002
    return pytest.approx(value, abs=abs)


@GENERATION2
@pytest.mark.parametrize("plant", [HOUSE, BARN, FARM], ids=lambda plant: plant.station_id)
async def test_inverter_reading_is_the_plant(
    http: aiohttp.ClientSession, simulator: PortalSimulator, plant: PlantDescription
) -> None:
    """Powers of the running step; what changes slowly, of the newest step that has it."""
    simulator.clock.set(NOON + timedelta(minutes=10))
    step = NOON.replace(second=0, minute=10)
    slow = NOON.replace(second=0, minute=0)
    model = plant_of(plant, simulator.seed)
    powers = model.power(step)
    peak = sum(string.peak for inverter in plant.inverters for string in inverter.strings)
    client = client_of(http, simulator)
    for inverter in plant.inverters:
        reading = await client.inverter_reading(plant.station_id, inverter.serial)
        share = powers.inverters[inverter.device_id]
        part = sum(string.peak for string in inverter.strings) / peak

        assert reading.power == near(share.ac, 0.6)
        assert reading.pv_power == near(sum(share.strings.values()), 0.6)
        assert reading.grid_power == (near(powers.grid, 0.6) if inverter.meter else None)
        assert reading.grid_frequency == 50
        assert reading.work_status is WorkStatus.ON_GRID
        assert reading.temperatures.keys() == {1, 2}
        assert reading.faults == reading.warnings == {1: 0, 2: 0, 3: 0}
        for energies, start in ((reading.today, date(2026, 6, 15)), (reading.total, plant.installed)):
            counted = model.energy(model.day_start(start), slow)
            assert energies == Energies(
                pv=near(counted.pv * part, 0.006),
                grid_import=near(counted.import_, 0.006) if inverter.meter else None,
                grid_export=near(counted.export, 0.006) if inverter.meter else None,
                battery_charge=near(counted.charge, 0.006) if inverter.battery else None,
                battery_discharge=near(counted.discharge, 0.006) if inverter.battery else None,
                consumption=near(counted.consumption, 0.006) if inverter.meter else None,
                backup=near(counted.consumption * 0.15, 0.006) if inverter.battery else None,
            )
        if not inverter.battery:
            assert reading.battery == BatteryReading()
            assert (reading.backup_power, reading.backup_phases) == (None, {})
            continue
        battery = reading.battery
        assert battery.mode is (BatteryMode.CHARGING if powers.battery < 0 else BatteryMode.DISCHARGING)
        assert battery.voltage is not None
        assert battery.highest_cell_voltage == near(battery.voltage / 16, 0.02)
        assert (battery.state_of_health, battery.temperature) == (98, 24.5)
        assert (battery.lowest_cell_temperature, battery.highest_cell_temperature) == (23.8, 25.1)
        assert battery.charge_current_limit == battery.discharge_current_limit == inverter.battery.power / 50
        assert (battery.error_code, battery.warning_code) == (0, 0)
        assert reading.backup_power == near(powers.load * 0.15, 0.6)
        assert reading.backup_phases[2] == BackupReading(
            power=near(powers.load * 0.05, 0.6),
            voltage=229.8,
            current=near(powers.load * 0.05 / 229.8, 0.01),
            frequency=50,
        )


@GENERATION2
async def test_nothing_of_yesterday_is_taken_for_today(http: aiohttp.ClientSession, simulator: PortalSimulator) -> None:
    """In the first minute of a day there may be no point yet, and what comes seldom is not there for a while."""
    client = client_of(http, simulator)
    midnight = NOON.replace(hour=22, minute=0, second=0)
    simulator.clock.set(midnight - timedelta(seconds=1))
    assert (await client.inverter_reading(HOUSE.station_id, HOUSE.inverters[0].serial)).today.pv
    simulator.clock.set(midnight)
    reading = await client.inverter_reading(HOUSE.station_id, HOUSE.inverters[0].serial)
    assert (reading.strings, reading.today) == ({}, Energies())


@GENERATION2
async def test_an_inverter_is_asked_at_midnight_though_no_point_is_due(
    http: aiohttp.ClientSession, simulator: PortalSimulator
) -> None:
    """It has not sent for hours, and would be asked in five minutes: but a reading of yesterday is none of today."""
    midnight = NOON.replace(hour=22, minute=0, second=0)
    points = [{"dataTime": int(NOON.timestamp()) * 1000, "data": {"epvDay": 7}}]
    async with odd_portal(lambda _: success(points), login=signed_in) as portal:
        client = odd_client(http, portal.url)
        simulator.clock.set(midnight - timedelta(minutes=2))
        assert (await client.inverter_reading("1", "A")).today.pv == 7
        simulator.clock.set(midnight - timedelta(seconds=1))
        assert (await client.inverter_reading("1", "A")).today.pv == 7
        assert len(portal.paths) == 2
        points.clear()
        simulator.clock.set(midnight)
        assert (await client.inverter_reading("1", "A")).today == Energies()


@GENERATION2
@pytest.mark.parametrize("number", [0, 1, 49, 50, 51, 60, 100])
async def test_stations_of_all_pages(http: aiohttp.ClientSession, simulator: PortalSimulator, number: int) -> None:
    plants = [replace(BARN, station_id=f"16986753104928{n:05}", name=f"Stall {n}") for n in range(number)]
    simulator.accounts["empty@example.com"].stations[:] = [Station(plant) for plant in plants]
    found = await client_of(http, simulator, email="empty@example.com").stations()
    assert [(station.id, station.name) for station in found] == [(plant.station_id, plant.name) for plant in plants]
    pages = [call.query["pageNum"] for call in simulator.requests if "pageNum" in call.query]
    assert pages == [str(page + 1) for page in range(number // 50 + 1)]


@GENERATION2
async def test_day_curves_do_not_ask_for_a_month_each(http: aiohttp.ClientSession, simulator: PortalSimulator) -> None:
    """This generation has no summary with the curve: it comes from the rows of the month, asked for once."""
    client = client_of(http, simulator)
    model = plant_of(HOUSE, simulator.seed)
    for number in range(1, 11):
        day = date(2026, 5, number)
        summary = (await client.day_usage(HOUSE.station_id, day)).summary
        assert summary.bought == near(model.day(day).import_, 0.006)
        assert summary.total == near(model.day(day).pv, 0.006)
    assert sum(call.query.get("durationType") == "2" for call in simulator.requests) == 1


# How often an inverter is asked, and for what


def asked_names(simulator: PortalSimulator) -> list[int]:
    """Return for how many names each request asked an inverter."""
    bodies = [call.body for call in simulator.requests if call.path.endswith("queryRealTimeData")]
    return [len(body["iecPath"]) for body in bodies if isinstance(body, dict)]


async def polled(client: Client, simulator: PortalSimulator, minutes: int) -> list[InverterReading]:
    """Return the readings of the house's inverter at each of these minutes."""
    readings = []
    for _ in range(minutes):
        readings.append(await client.inverter_reading(HOUSE.station_id, HOUSE.inverters[0].serial))
        simulator.clock.advance(timedelta(minutes=1))
    return readings


@GENERATION2
async def test_an_inverter_is_asked_when_a_new_point_is_due(
    http: aiohttp.ClientSession, simulator: PortalSimulator
) -> None:
    """Its points are five minutes apart: what is polled in between is the same reading, of the same moment."""
    client = client_of(http, simulator)
    simulator.clock.set(NOON.replace(minute=0, second=20))
    readings = await polled(client, simulator, 30)
    assert len(asked_names(simulator)) == 6
    assert len({id(reading) for reading in readings}) == 6
    plant = plant_of(HOUSE, simulator.seed)
    share = [plant.power(NOON.replace(minute=minute - minute % 5, second=0)) for minute in range(30)]
    assert [reading.pv_power for reading in readings] == [near(powers.pv, 0.6) for powers in share]


@GENERATION2
async def test_a_point_that_is_late_is_asked_for_at_each_poll(
    http: aiohttp.ClientSession, simulator: PortalSimulator
) -> None:
    """And once it has been missing for a quarter of an hour, every five minutes."""
    point = {"dataTime": int(NOON.timestamp()) * 1000, "data": {"pac": 1}}
    asked = []
    async with odd_portal(lambda _: success([point]), login=signed_in) as portal:
        client = odd_client(http, portal.url)
        await client.sign_in()
        for minute in range(30):
            before = len(portal.paths)
            await client.inverter_reading("1", "A")
            if len(portal.paths) > before:
                asked.append(minute)
            simulator.clock.advance(timedelta(minutes=1))
    assert asked == [0, *range(5, 16), 20, 25]


@GENERATION2
async def test_a_point_of_the_future_is_no_reason_to_wait_for_it(
    http: aiohttp.ClientSession, simulator: PortalSimulator
) -> None:
    """The portal's clock may be wrong."""
    point = {"dataTime": int((NOON + timedelta(hours=5)).timestamp()) * 1000, "data": {"pac": 1}}
    async with odd_portal(lambda _: success([point]), login=signed_in) as portal:
        client = odd_client(http, portal.url)
        for _ in range(20):
            await client.inverter_reading("1", "A")
            simulator.clock.advance(timedelta(minutes=1))
        assert len(portal.paths) == 1 + 4


@GENERATION2
async def test_only_names_that_ever_had_a_value_are_asked_for_and_all_each_hour(
    http: aiohttp.ClientSession, simulator: PortalSimulator
) -> None:
    client = client_of(http, simulator)
    simulator.clock.set(NOON.replace(minute=0, second=20))
    readings = await polled(client, simulator, 181)
    names = asked_names(simulator)
    everything = names[0]
    assert everything == max(names) > 99
    assert [number for number, count in enumerate(names) if count == everything] == [0, 12, 24, 36]
    assert set(names[1:12]) == {names[1]}
    assert names[1] < everything
    of_known, of_all = readings[59], readings[60]
    assert of_all.strings.keys() == of_known.strings.keys() != set()
    assert of_all.temperatures.keys() == of_known.temperatures.keys() != set()


@GENERATION2
async def test_a_day_of_an_inverter_is_less_than_25_mb(http: aiohttp.ClientSession, simulator: PortalSimulator) -> None:
    """From samples of ten minutes; compressed, if the portal does."""
    simulator.compresses = True
    simulator.token_lifetime = timedelta(days=2)
    client = client_of(http, simulator)
    starts = range(2, 24, 4)
    for hour in starts:
        simulator.clock.set(datetime(2026, 6, 15, hour, 0, 20, tzinfo=BERLIN))
        await polled(client, simulator, 10)
    calls = [call for call in simulator.requests if call.path.endswith("queryRealTimeData")]
    assert len(calls) == 2 * len(starts)
    assert all("gzip" in call.headers["Accept-Encoding"] for call in calls)
    assert sum(call.sent for call in calls) * 144 / len(starts) < 25_000_000


@GENERATION2
async def test_a_name_that_gets_a_value_later_is_read_within_an_hour(
    http: aiohttp.ClientSession, simulator: PortalSimulator
) -> None:
    def answer(request: web.Request) -> Any:
        now = simulator.clock.now()
        soh = {"soh": 97, "batteryV": 52} if now >= NOON + timedelta(minutes=10) else {}
        return success([{"dataTime": int(now.timestamp()) * 1000, "data": {"pac": 1, **soh}}])

    async with odd_portal(answer, login=signed_in) as portal:
        client = odd_client(http, portal.url)
        simulator.clock.set(NOON)
        found: list[float | None] = []
        for _ in range(14):
            found.append((await client.inverter_reading("1", "A")).battery.state_of_health)
            simulator.clock.advance(timedelta(minutes=5))
    assert found[0] is None
    assert found[12:] == [97, 97]


@GENERATION2
@pytest.mark.parametrize("jump", [timedelta(hours=1), -timedelta(minutes=1), -timedelta(days=1)])
async def test_an_inverter_is_asked_after_the_clock_was_set(
    http: aiohttp.ClientSession, simulator: PortalSimulator, jump: timedelta
) -> None:
    client = client_of(http, simulator)
    await polled(client, simulator, 2)
    assert len(asked_names(simulator)) == 1
    simulator.clock.set(NOON + jump)
    await polled(client, simulator, 1)
    assert len(asked_names(simulator)) == 2


@GENERATION2
async def test_an_inverter_is_asked_again_after_an_error(
    http: aiohttp.ClientSession, simulator: PortalSimulator
) -> None:
    """The last reading is none in its place: that it is old has to be known."""
    client = client_of(http, simulator)
    await polled(client, simulator, 1)
    simulator.clock.advance(timedelta(minutes=5))
    simulator.faults.add("malformed", times=1)
    with pytest.raises(ResponseError):
        await polled(client, simulator, 1)
    assert (await polled(client, simulator, 1))[0].power is not None


# Its session


@GENERATION2
async def test_a_token_that_an_answer_renews_is_used(http: aiohttp.ClientSession, simulator: PortalSimulator) -> None:
    client = client_of(http, simulator, generation=2)
    for _ in range(10):
        await client.stations()
        simulator.clock.advance(simulator.token_lifetime * 0.6)
    assert simulator.logins == 1
    simulator.expire_tokens()
    await client.stations()
    assert simulator.logins == 2


@GENERATION2
async def test_login_and_headers(http: aiohttp.ClientSession, simulator: PortalSimulator) -> None:
    client = client_of(http, simulator, generation=2, email="family@example.com")
    await client.stations()
    login, stations = simulator.requests
    assert login.body == {
        "email": "family@example.com",
        "password": "MDU3MTc0OWUyYWMzMzBhNzQ1NTgwOWM2YjBlN2FmOTA=",
        "channel": 1,
    }
    assert (login.headers["ver"], stations.headers["ver"]) == ("pc", "pc")
    assert "token" not in login.headers
    assert stations.headers["Cookie"] == f"token={stations.headers['token']}"


def signed_in(_: web.Request) -> web.StreamResponse:
    """Log everybody in, in generation 2 alone."""
    return web.json_response(success(None), headers={"token": "the token"})


def odd_client(http: aiohttp.ClientSession, url: str) -> Client:
    credentials = Credentials("someone@example.com", "0" * 32)
    return Client(Connection(http, credentials, time_zone=BERLIN, url=url, rate_limiter=RateLimiter(0), api_version=2))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, {}),
        ({"pload": "1.5", "ploadUnit": "kW"}, {"consumption_power": 1500.0}),
        ({"pLoad": None, "pload": 3, "ploadUnit": "W"}, {"consumption_power": 3.0}),
        (
            {"eday": 900, "edayUnit": "Wh", "emonth": "2", "emonthUnit": "MWh", "eyear": 3, "eyearUnit": "GWh"},
            {"pv_energy_today": 0.9, "pv_energy_this_month": 2000.0, "pv_energy_this_year": 3e6},
        ),
        ({"pmeterTotal": 5, "pmeterTotalUnit": "W", "arrowGridInverter": 1}, {"grid_power": 5.0}),
        ({"pmeterTotal": 5, "pmeterTotalUnit": "W", "arrowInverterGrid": "1"}, {"grid_power": -5.0}),
        ({"pmeterTotal": 0, "pmeterTotalUnit": "W", "arrowInverterGrid": True}, {"grid_power": 0.0}),
        ({"pmeterTotal": "--", "pmeterTotalUnit": "W", "arrowInverterGrid": 1}, {}),
        # A battery that charges is negative, whether or not the portal signs it; without a direction it is as it is.
        (
            {"soc": 50, "batteryP": 7, "batteryPUnit": "W", "arrowInverterBattery": 1, "arrowBatteryInverter": 0},
            {"state_of_charge": 50.0, "battery_power": -7.0},
        ),
        (
            {"soc": 50, "batteryP": "-7", "batteryPUnit": "W", "arrowInverterBattery": 1},
            {"state_of_charge": 50.0, "battery_power": -7.0},
        ),
        (
            {"soc": 50, "batteryP": -7, "batteryPUnit": "W", "arrowBatteryInverter": 1},
            {"state_of_charge": 50.0, "battery_power": 7.0},
        ),
        ({"soc": 50, "batteryP": -7, "batteryPUnit": "W"}, {"state_of_charge": 50.0, "battery_power": -7.0}),
        ({"soc": 0, "batteryP": 0, "batteryPUnit": "W"}, {"state_of_charge": 0.0, "battery_power": 0.0}),
        # No battery.
        ({"soc": None, "batteryP": 0, "batteryPUnit": "W"}, {}),
        ({"soc": "--", "batteryP": "--", "batteryPUnit": "W"}, {}),
        # No power without its unit, but of the battery and the backup output: W.
        ({"pac": 5, "pacUnit": None}, {}),
        ({"soc": 50, "batteryP": 7, "arrowBatteryInverter": 1}, {"state_of_charge": 50.0, "battery_power": 7.0}),
        (
            {"soc": 50, "batteryP": 7, "batteryPUnit": "", "arrowInverterBattery": 1},
            {"state_of_charge": 50.0, "battery_power": -7.0},
        ),
        (
            {"soc": 50, "batteryPOrgion": 1.5, "batteryPUnit": "kW", "arrowBatteryInverter": 1},
            {"state_of_charge": 50.0, "battery_power": 1500.0},
        ),
        (
            {"soc": 50, "batteryP": "--", "batteryPOrgion": "-7", "arrowInverterBattery": 1},
            {"state_of_charge": 50.0, "battery_power": -7.0},
        ),
        (
            {"soc": 50, "batteryP": 0, "batteryPOrgion": 7, "batteryPUnit": "W"},
            {"state_of_charge": 50.0, "battery_power": 0.0},
        ),
        ({"totalBackupPower": 850}, {"backup_power": 850.0}),
        ({"totalBackupPower": 0.85, "totalBackupPowerUnit": "kW"}, {"backup_power": 850.0}),
        ({"totalBackupPower": None, "totalBackupPowerOrgin": 850}, {"backup_power": 850.0}),
        ({"totalBackupP": "0.85", "totalBackupPowerUnit": "kW"}, {"backup_power": 850.0}),
        ({"generatorBackupPower": 850}, {"backup_power": 850.0}),
        ({"generatorBackupPower": 0.85, "generatorBackupPowerUnit": "kW"}, {"backup_power": 850.0}),
        (
            {"totalBackupPowerUnit": "W", "generatorBackupPower": 0.85, "generatorBackupPowerUnit": "kW"},
            {"backup_power": 850.0},
        ),
        ({"totalBackupPower": 850, "generatorBackupPower": 1}, {"backup_power": 850.0}),
        ({"totalBackupPower": 850, "totalBackupPowerUnit": "%"}, {}),
        ({"instatlledPower": 8, "instatlledPowerUnit": "kWp"}, {"installed_power": 8000.0}),
        # All inverters are offline: the values are old.
        (
            {"allInverterOffline": True, "pac": 5, "pacUnit": "W", "eDay": 5, "eDayUnit": "kWh", "soc": 50},
            {},
        ),
        ({"allInverterOffline": "1", "eTotal": 5, "eTotalUnit": "kWh"}, {}),
        ({"allInverterOffline": False, "pac": 5, "pacUnit": "W"}, {"pv_power": 5.0}),
    ],
)
async def test_spellings_of_a_station(http: aiohttp.ClientSession, data: Any, expected: Any) -> None:
    async with odd_portal(lambda _: success(data), login=signed_in) as portal:
        reading = await odd_client(http, portal.url).station_reading("1")
    values = {name: getattr(reading, name) for name in StationReading.__dataclass_fields__}
    assert {name: value for name, value in values.items() if value is not None} == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([], {}),
        ([{"deviceSn": "A", "deviceType": 2}], {"A": "A"}),
        ([{"serialNum": "A", "deviceType": "2", "deviceName": "Roof"}], {"A": "Roof"}),
        ([[{"deviceSn": "A", "deviceType": 2}], [[{"deviceSn": "B", "deviceType": 2}]]], {"A": "A", "B": "B"}),
        (
            {"list": [{"deviceSn": "L", "deviceType": 1, "sub": {"x": [{"deviceSn": "A", "deviceType": 2}]}}]},
            {"A": "A"},
        ),
        ([{"deviceSn": "A", "deviceType": 2, "children": [{"deviceSn": "A", "deviceType": 2}]}, None, 7], {"A": "A"}),
        # Where none is said to be an inverter, it is the first with a serial number, best one without a type.
        ([{"deviceSn": "B", "deviceType": 5}, {"deviceType": None}], {"B": "B"}),
        ([{"deviceSn": "L", "deviceType": 1}, {"serialNum": "A"}, {"deviceSn": "B"}], {"A": "A"}),
        ([{"deviceType": 5}, {"deviceName": "Roof"}], {}),
    ],
)
async def test_trees_of_devices(http: aiohttp.ClientSession, data: Any, expected: dict[str, str]) -> None:
    async with odd_portal(lambda _: success(data), login=signed_in) as portal:
        found = await odd_client(http, portal.url).inverters("1")
    assert found == [Inverter(name=name, serial_number=number, model=None) for number, name in expected.items()]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (None, {}),
        ([], {}),
        (
            [{"dataTime": 2, "data": {"fgrid": 50.1}}, {"dataTime": 1, "data": {"fgrid": 49.9}}],
            {"grid_frequency": 50.1},
        ),
        (
            [{"dataTime": 1, "data": {"fgrid": "49.9"}}, {"dataTime": 2, "data": {"fgrid": "--"}}],
            {"grid_frequency": 49.9},
        ),
        ([{"dataTime": 1, "data": {"pac": "1.5"}}, {"dataTime": 2, "data": None}, "nonsense"], {"power": 1500.0}),
        ([{"data": {"pac": "150 W", "workStatus": 99}}], {"power": 150.0}),
        ([{"dataTime": 1, "data": {"faultFlag2": "0x1F", "warnFlag1": 3.5}}], {"faults": {2: 31}}),
        # No battery: all that one would have is zero.
        (
            [
                {
                    "dataTime": 1,
                    "data": {"batteryV": 0, "soc": 0, "batteryP": 0, "ebatterychargeDaily": 0, "bmsErrorCode": 0},
                }
            ],
            {},
        ),
        ([{"dataTime": 1, "data": {"epvDay": 0}}], {"today": Energies(pv=0.0)}),
        # Another name of the inverter's power on a phase.
        (
            [{"dataTime": 1, "data": {"activePowerA": 0.5, "activePowerB": "0.6", "activePowerC": None}}],
            {"phases": {1: PhaseReading(inverter_power=500.0), 2: PhaseReading(inverter_power=600.0)}},
        ),
        (
            [{"dataTime": 1, "data": {"invtAP": 0.5, "activePowerA": 9, "activePowerB": 0.6}}],
            {"phases": {1: PhaseReading(inverter_power=500.0), 2: PhaseReading(inverter_power=600.0)}},
        ),
    ],
)
async def test_spellings_of_an_inverter(http: aiohttp.ClientSession, points: Any, expected: dict[str, Any]) -> None:
    async with odd_portal(lambda _: success(points), login=signed_in) as portal:
        reading = await odd_client(http, portal.url).inverter_reading("1", "A")
    values = {name: getattr(reading, name) for name in type(reading).__dataclass_fields__}
    empty: tuple[Any, ...] = (None, {}, BatteryReading(), Energies(), ReadingSource.PORTAL)
    assert {name: value for name, value in values.items() if value not in empty} == expected


async def test_a_logger_does_not_become_an_inverter_while_the_inverter_is_missing(http: aiohttp.ClientSession) -> None:
    logger = {"deviceSn": "L", "deviceType": 1}
    answers = iter([[logger, {"deviceSn": "A", "deviceType": 2}], [logger], [logger]])
    async with odd_portal(lambda _: success(next(answers)), login=signed_in) as portal:
        client = odd_client(http, portal.url)
        assert [found.serial_number for found in await client.inverters("1")] == ["A"]
        assert await client.inverters("1") == []
        assert [found.serial_number for found in await client.inverters("2")] == ["L"]


def strings(*values: tuple[Any, Any, Any], **others: Any) -> dict[str, Any]:
    """Return what an inverter sends of its strings: power, V and A of each."""
    for number, (power, voltage, current) in enumerate(values, 1):
        others |= {f"ppv{number}": power, f"vpv{number}": voltage, f"ipv{number}": current}
    return others


@pytest.mark.parametrize(
    ("points", "unit"),
    [
        ([strings((2000, 400, 5))], "W"),
        ([strings((2, 400, 5))], "kW"),
        ([strings(("2000", "400.0", "5 A"))], "W"),
        # The product need not be exact, as V and A are rounded and not of the same second.
        ([strings((800, 400, 5))], "W"),
        ([strings((5900, 400, 5))], "W"),
        ([strings((0.8, 400, 5))], "kW"),
        ([strings((5.9, 400, 5))], "kW"),
        ([strings((6.1, 400, 5))], None),
        ([strings((6100, 400, 5))], None),
        ([strings((0.6, 400, 5))], None),
        ([strings((30, 400, 5))], None),
        # Too little to tell, as at dawn.
        ([strings((50, 330, 0.2))], None),
        ([strings((0, 330, 0.0))], None),
        ([strings((0, 400, 5))], None),
        ([strings((None, 400, 5))], None),
        ([strings((2000, None, 5))], None),
        ([{"fgrid": 50}], None),
        ([], None),
        # Any string tells. One that is not there may send anything, and does on real inverters.
        ([strings((0, 0, 0), (2000, 400, 5))], "W"),
        ([strings((1.078, 391.1, 2.7), (0.783, 332.0, 2.3), (20.064, 1999.1, 1997.4), (20.245, 1997.8, 0.0))], "kW"),
        # Strings that contradict each other do not tell; another point may.
        ([strings((2000, 400, 5), (2, 400, 5))], None),
        ([strings((2000, 400, 5)), strings((2000, 400, 5), (2, 400, 5))], "W"),
        # An earlier point of the day, when it is dark.
        ([strings((2000, 400, 5)), strings((0, 0, 0))], "W"),
    ],
)
async def test_volts_times_amperes_of_a_string_tell_the_unit_of_powers(
    http: aiohttp.ClientSession, points: list[dict[str, Any]], unit: str | None
) -> None:
    sent = [{"dataTime": number, "data": {"pac": 1500, **data}} for number, data in enumerate(points)]
    async with odd_portal(lambda _: success(sent), login=signed_in) as portal:
        client = odd_client(http, portal.url)
        await client.sign_in()
        assert client.power_units == {}
        reading = await client.inverter_reading("1", "A")
        assert client.power_units == ({} if unit is None else {"A": unit})
    if points:
        assert reading.power == (1500.0 if unit == "W" else 1.5e6)


async def test_the_unit_of_powers_is_remembered_for_each_inverter(http: aiohttp.ClientSession) -> None:
    """It holds at night, and whatever a string sends later; another inverter has its own."""
    sent = {
        "A": [strings((2000, 400, 5), pac=1900), strings((0, 0, 0), pac=-30), strings((2, 400, 5), pac=1900)],
        "B": [strings((2, 400, 5), pac=1.9), strings((0, 0, 0), pac=-0.03), strings((2, 400, 5), pac=1.9)],
    }
    answers = iter([sent[name][number] for number in range(3) for name in "AB"])
    async with odd_portal(lambda _: success([{"data": next(answers)}]), login=signed_in) as portal:
        client = odd_client(http, portal.url)
        powers = [(await client.inverter_reading("1", name)).power for _ in range(3) for name in "AB"]
        assert client.power_units == {"A": "W", "B": "kW"}
    assert powers == [1900.0, 1900.0, -30.0, -30.0, 1900.0, 1900.0]


async def test_a_unit_written_behind_a_power_counts_before_what_strings_tell(http: aiohttp.ClientSession) -> None:
    data = strings((2000, 400, 5), pac="1.9 kW", batteryP=-500, batteryV=50, invtAP=600)
    async with odd_portal(lambda _: success([{"data": data}]), login=signed_in) as portal:
        reading = await odd_client(http, portal.url).inverter_reading("1", "A")
    assert (reading.power, reading.battery.power, reading.phases[1].inverter_power) == (1900.0, -500.0, 600.0)


@GENERATION2
@pytest.mark.parametrize("email", ["sister@example.com", "sunways@example.com"])
async def test_other_names_and_units_are_the_same_plant(
    http: aiohttp.ClientSession, simulator: PortalSimulator, email: str
) -> None:
    """All that the family's account says of the same plant, in the spelling of other portals."""
    usual = client_of(http, simulator, 2, "family@example.com")
    other = client_of(http, simulator, 2, email)
    inverter = HOUSE.inverters[0]
    assert [found.serial_number for found in await other.inverters(HOUSE.station_id)] == [inverter.serial]
    for hours in (0, 6, 11):
        simulator.clock.set(NOON + timedelta(hours=hours))
        station = await usual.station_reading(HOUSE.station_id)
        found = await other.station_reading(HOUSE.station_id)
        assert found == replace(station, backup_power=near(station.backup_power, 0.6))
        expected = await usual.inverter_reading(HOUSE.station_id, inverter.serial)
        reading = await other.inverter_reading(HOUSE.station_id, inverter.serial)
        assert reading.strings.keys() == expected.strings.keys()
        for number, string in expected.strings.items():
            assert reading.strings[number].power == near(string.power, 0.6)
        for number, phase in expected.phases.items():
            assert reading.phases[number].inverter_power == near(phase.inverter_power, 0.6)
            assert reading.phases[number].grid_power == near(phase.grid_power, 0.6)
        assert reading.battery.power == near(expected.battery.power, 0.6)
        assert (reading.power, reading.backup_power) == (near(expected.power, 0.6), near(expected.backup_power, 0.6))
        assert (reading.today, reading.total) == (expected.today, expected.total)
    assert other.power_units == {inverter.serial: "W" if email == "sister@example.com" else "kW"}
    assert await other.month_rows(HOUSE.station_id, 2026, 6) == await usual.month_rows(HOUSE.station_id, 2026, 6)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
@pytest.mark.parametrize(("code", "logins"), [("3010400", 1), ("AUTH_1002", 2)])
async def test_a_refusal_in_json_with_another_status_says_the_same(
    http: aiohttp.ClientSession, status: int, code: str, logins: int
) -> None:
    refusal = {"code": code, "msg": "No", "data": None}
    async with odd_portal(lambda _: web.json_response(refusal, status=status), login=signed_in) as portal:
        with pytest.raises(ResponseError, match=code):
            await odd_client(http, portal.url).station_reading("1")
        assert portal.paths.count(LOGINS[2]) == logins


@GENERATION2
async def test_nothing_is_shown_of_a_station_whose_inverters_are_offline(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp
) -> None:
    entry = await set_up("family@example.com")
    station = simulator.accounts["family@example.com"].stations[0]
    power = "sensor.haus_am_see_pv_power"
    before = hass.states.get(power)
    assert before is not None
    station.offline = True
    for _ in range(GRACE_POLLS + 1):
        await entry.runtime_data.async_refresh()
    assert entry.runtime_data.station_readings[HOUSE.station_id].reading == StationReading()
    during = hass.states.get(power)
    assert during is not None
    assert during.state in {STATE_UNKNOWN, STATE_UNAVAILABLE}
    station.offline = False
    await entry.runtime_data.async_refresh()
    after = hass.states.get(power)
    assert after is not None
    assert after.state == before.state


@pytest.mark.parametrize(
    ("curve", "starts"),
    [
        ([{"date": "07", "eTotal": 1}, {"date": 8, "eTotal": 1}], [date(2024, 2, 7), date(2024, 2, 8)]),
        ([{"date": "2024-02-07", "eTotal": 1}, {"date": "2024-02-08 00:00:00", "eTotal": 1}], [7, 8]),
        ([{"dateStamp": 1707260400000, "eTotal": 1}, {"dateStamp": "1707346800000", "eTotal": 1}], [7, 8]),
    ],
)
async def test_dates_of_rows(http: aiohttp.ClientSession, curve: Any, starts: Any) -> None:
    async with odd_portal(lambda _: success({"curve": curve}), login=signed_in) as portal:
        rows = await odd_client(http, portal.url).month_rows("1", 2024, 2)
    assert [row.start for row in rows] == [date(2024, 2, 7), date(2024, 2, 8)]


@pytest.mark.parametrize("data", [None, 7, {}, {"records": None}, {"records": [{}]}, {"records": [{"id": 1e18}]}])
async def test_stations_that_make_no_sense(http: aiohttp.ClientSession, data: Any) -> None:
    async with odd_portal(lambda _: success(data), login=signed_in) as portal:
        with pytest.raises(ResponseError):
            await odd_client(http, portal.url).stations()


async def test_a_page_that_comes_again_and_again_is_the_last(http: aiohttp.ClientSession) -> None:
    records = [{"id": str(number)} for number in range(50)]
    async with odd_portal(lambda _: success({"records": records}), login=signed_in) as portal:
        assert len(await odd_client(http, portal.url).stations()) == 50


async def test_a_deep_tree_is_an_error_of_the_portal(http: aiohttp.ClientSession) -> None:
    deep = b'{"code": "1000000", "data": ' + b"[" * 900 + b"]" * 900 + b"}"
    async with odd_portal(lambda _: deep, login=signed_in) as portal:
        assert await odd_client(http, portal.url).inverters("1") == []


# Which one the portal speaks


@pytest.mark.parametrize(
    ("speaks", "known", "found", "tried"),
    [
        ({1}, None, 1, [1]),
        ({2}, None, 2, [1, 2]),
        ({1, 2}, None, 1, [1]),
        ({1, 2}, 2, 2, [2]),
        ({2}, 1, 2, [1, 2]),
        ({1}, 2, 1, [2, 1]),
        ({1}, 7, 1, [1]),
    ],
)
@SILENCES
@GENERATION1
async def test_it_is_found(
    http: aiohttp.ClientSession,
    simulator: PortalSimulator,
    speaks: set[int],
    known: int | None,
    found: int,
    tried: list[int],
    *,
    silent_page: bool,
) -> None:
    simulator.speaks, simulator.silent_page = speaks, silent_page
    client = client_of(http, simulator, known)
    assert len(await client.stations()) == 3
    assert client.api_version == found
    assert logins(simulator) == tried


@SILENCES
@GENERATION1
async def test_neither_is_spoken(http: aiohttp.ClientSession, simulator: PortalSimulator, *, silent_page: bool) -> None:
    simulator.speaks, simulator.silent_page = set(), silent_page
    client = client_of(http, simulator, 2)
    with pytest.raises(ResponseError) as raised:
        await client.sign_in()
    assert type(raised.value) is ResponseError
    assert client.api_version is None
    assert logins(simulator) == [2, 1]


@pytest.mark.parametrize("speaks", [{1}, {2}, {1, 2}], ids=str)
@pytest.mark.parametrize("known", [None, 1, 2])
@GENERATION1
async def test_a_wrong_password_is_tried_in_another_only_while_none_is_known(
    http: aiohttp.ClientSession, simulator: PortalSimulator, speaks: set[int], known: int | None
) -> None:
    simulator.speaks = speaks
    client = client_of(http, simulator, known)
    simulator.accounts[VILLAGE].password = "changed"
    with pytest.raises(AuthenticationError):
        await client.sign_in()
    answered = [call for call in simulator.requests if call.path in LOGINS.values() and call.status == 200]
    assert len(answered) == (len(speaks) if known is None else 1)


@pytest.mark.parametrize(
    "refusal",
    [
        lambda: web.Response(status=503),
        lambda: web.Response(status=429),
        lambda: web.Response(body=b'{"code": "3010107", "msg": "busy"}'),
        lambda: web.Response(body=b'{"code": "3010001", "msg": "no"}'),
        lambda: web.Response(body=b'{"code": "30'),
        lambda: web.Response(body=b""),
    ],
)
async def test_a_portal_that_is_not_well_is_asked_in_no_other(http: aiohttp.ClientSession, refusal: Any) -> None:
    async with odd_portal(lambda _: success({}), login=lambda _: refusal()) as portal:
        with pytest.raises(SourceError):
            await odd_client(http, portal.url).sign_in()
        assert portal.paths == [LOGINS[2]]


@pytest.mark.parametrize(
    "answer",
    [
        web.HTTPNotFound,
        web.HTTPMethodNotAllowed,
        web.HTTPGone,
        lambda: web.Response(status=302, headers={"Location": "/login"}),
        lambda: web.Response(text="<html>"),
        lambda: web.json_response({"status": 404, "error": "Not Found"}, status=404),
        lambda: web.json_response({"message": "no route"}),
        # A code that only generation 2 has.
        lambda: web.json_response({"code": "AUTH_0001", "msg": "no token"}),
    ],
)
async def test_answers_of_a_portal_that_does_not_speak_it(http: aiohttp.ClientSession, answer: Any) -> None:
    def login(request: web.Request) -> web.StreamResponse:
        if request.path == LOGINS[2]:
            return signed_in(request)
        if answer is web.HTTPMethodNotAllowed:
            raise web.HTTPMethodNotAllowed("POST", ["GET"])
        found = answer()
        if isinstance(found, web.HTTPException):
            raise found
        assert isinstance(found, web.StreamResponse)
        return found

    async with odd_portal(lambda _: success({"records": []}), login=login) as portal:
        credentials = Credentials("someone@example.com", "0" * 32)
        client = Client(Connection(http, credentials, time_zone=BERLIN, url=portal.url, rate_limiter=RateLimiter(0)))
        assert await client.stations() == []
        assert client.api_version == 2


async def test_the_demo_account_is_of_generation_1(http: aiohttp.ClientSession, simulator: PortalSimulator) -> None:
    client = Client(Connection(http, None, time_zone=BERLIN, url=simulator.url, rate_limiter=RateLimiter(0)))
    if simulator.speaks == {1}:
        assert len(await client.stations()) == 1
    else:
        with pytest.raises(ResponseError, match="no demo account"):
            await client.stations()


# A portal that moves


@DIRECTIONS
@SILENCES
@GENERATION1
async def test_a_client_follows_the_portal(
    http: aiohttp.ClientSession, simulator: PortalSimulator, before: int, after: int, *, silent_page: bool
) -> None:
    """Whatever is asked next succeeds, without a look-up anew by whoever asks; and back again."""
    simulator.silent_page = silent_page
    serial_number = FARM.inverters[1].serial

    async def ask(client: Client, question: int) -> Any:
        match question:
            case 0:
                return await client.stations()
            case 1:
                return {inverter.serial_number for inverter in await client.inverters(FARM.station_id)}
            case 2:
                return round((await client.station_reading(FARM.station_id)).pv_power or 0, 3)
            case 3:
                return (await client.inverter_reading(FARM.station_id, serial_number)).strings[2].power
            case 4:
                usage = await client.day_usage(FARM.station_id, date(2025, 10, 26))
                return len(usage.points), replace(usage.summary, self_used=None)
            case _:
                rows: list[UsageRow] = await client.month_rows(FARM.station_id, 2026, 5)
                return rows

    for question in range(6):
        simulator.speaks = {before}
        client = client_of(http, simulator)
        answer = await ask(client, question)
        assert client.api_version == before
        for now in (after, before, after):
            # As if some time had passed: logins are limited.
            client.connection._auth.budget.left = 3
            for api in client.connection._apis:
                vars(api).get("_polls", {}).clear()
            simulator.speaks = {now}
            assert await ask(client, question) == answer
            assert client.api_version == now


@DIRECTIONS
@GENERATION1
async def test_a_client_of_the_future_moves_back(
    http: aiohttp.ClientSession, simulator: PortalSimulator, before: int, after: int
) -> None:
    """It was never told the ids that the other generation has for the inverters."""
    simulator.speaks = {before}
    client = client_of(http, simulator)
    await client.sign_in()
    simulator.speaks = {after}
    reading = await client.inverter_reading(HOUSE.station_id, HOUSE.inverters[0].serial)
    assert reading.battery.voltage


async def test_a_path_that_is_not_there_is_not_a_move(http: aiohttp.ClientSession) -> None:
    """Only a session that is not alive is: nobody logs in because a station is not there."""

    def answer(request: web.Request) -> web.StreamResponse | dict[str, Any]:
        if "getSingleStationOverview" in request.path:
            return web.Response(status=404, text="<html>Not Found")
        return success({"userInfo": {}})

    async with odd_portal(answer, login=signed_in) as portal:
        client = odd_client(http, portal.url)
        for _ in range(5):
            with pytest.raises(ResponseError, match="404"):
                await client.station_reading("1")
        assert client.api_version == 2
        assert portal.paths.count(LOGINS[2]) == 1
        assert LOGINS[1] not in portal.paths


@DIRECTIONS
@SILENCES
@GENERATION1
async def test_a_move_under_a_running_home_assistant(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    simulator: PortalSimulator,
    set_up: SetUp,
    entity_registry: er.EntityRegistry,
    device_registry: dr.DeviceRegistry,
    caplog: pytest.LogCaptureFixture,
    before: int,
    after: int,
    *,
    silent_page: bool,
) -> None:
    """Nothing fails, nothing is unavailable, every id stays; the entry remembers what the portal speaks."""
    simulator.speaks, simulator.silent_page = {before}, silent_page
    simulator.token_lifetime = timedelta(days=10)
    entry = await set_up()
    assert entry.data[CONF_GENERATION] == before

    def ids() -> dict[str, str]:
        found = er.async_entries_for_config_entry(entity_registry, entry.entry_id)
        return {entity.unique_id: entity.entity_id for entity in found}

    def devices() -> set[tuple[str | None, ...]]:
        found = dr.async_entries_for_config_entry(device_registry, entry.entry_id)
        return {(device.id, device.name, device.model) for device in found}

    ids_before, devices_before = ids(), devices()
    for now in (after, before, after):
        simulator.speaks = {now}
        for minutes in range(3):
            simulator.clock.advance(timedelta(minutes=minutes))
            freezer.tick(LOOKUP_INTERVAL)
            await poll(hass, freezer)
            assert entry.runtime_data.last_update_success
            assert [state.entity_id for state in hass.states.async_all() if state.state == STATE_UNAVAILABLE] == []
            account = entry.runtime_data
            live = (*account.station_readings.values(), *account.inverter_readings.values())
            assert [coordinator.error for coordinator in live] == [None] * 7
        assert entry.data[CONF_GENERATION] == now
        assert ids().items() >= ids_before.items()
    assert "unavailable" not in caplog.text

    # The next start begins with what the portal speaks, and nothing has another name.
    tried = len(logins(simulator))
    freezer.tick(timedelta(hours=2))
    assert await reload(hass, entry)
    await hass.async_block_till_done()
    assert set(logins(simulator)[tried:]) <= {after}
    assert ids().items() >= ids_before.items()
    if before == 1:
        assert devices() == devices_before


@GENERATION2
async def test_what_was_found_at_set_up_is_remembered(hass: HomeAssistant, simulator: PortalSimulator) -> None:
    result = await sign_in(hass, simulator.url)
    await hass.async_block_till_done()
    assert (result["data"][CONF_URL], result["data"][CONF_EMAIL]) == (simulator.url, "family@example.com")
    assert result["data"][CONF_GENERATION] == 2
    assert logins(simulator)[:2] == [1, 2]
    assert 1 not in logins(simulator)[2:]
