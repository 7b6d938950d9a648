"""Generation 1 of the portal's API: what only it has."""

from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
from aiohttp import web
import pytest

from custom_components.mtec.models import StationReading
from custom_components.mtec.portal import Credentials, digest_of
from tests.clients import client_of
from tests.conftest import FAMILY, GENERATION1, NOON
from tests.odd_portal import odd_portal, success
from tests.portal_simulator import HOUSE, PortalSimulator


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def field(name: str, value: Any, unit: Any = None) -> dict[str, Any]:
    return {"field": name, "value": value} | ({} if unit is None else {"unit": unit})


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        # Whatever its name: by its unit, in order of appearance.
        ({202: [field("Temperature1", "35.1 ℃", "℃"), field("Temperature2", "36 ℃", "℃")]}, {1: 35.1, 2: 36.0}),
        ({202: [field("deviceTempure", "35.1 °C", "°C"), field("Radiator", 40, "℃")]}, {1: 35.1, 2: 40.0}),
        ({202: [field("T", "35.1", " ℃ ")]}, {1: 35.1}),
        # The unit is written behind the value alone.
        (
            {202: [field("a", "35.1 ℃"), field("b", "-3.5°C", ""), field("c", "36.2 ℃", None)]},
            {1: 35.1, 2: -3.5, 3: 36.2},
        ),
        # Among other fields.
        (
            {
                202: [
                    field("deviceStatus", 2, ""),
                    field("ratedPower", "10.0 kW", "kW"),
                    field("TimeTotal", "1292 H", "H"),
                    field("Temperature1", "48.9 ℃", "℃"),
                    field("curPower", "1.86 kW", ""),
                    field("Temperature2", "7", "%"),
                ]
            },
            {1: 48.9},
        ),
        # A sensor that is lost leaves the others their numbers.
        ({202: [field("a", "--", "℃"), field("b", None, "℃"), field("c", "36 ℃", "℃")]}, {3: 36.0}),
        # The inverter's node alone, of which there is one.
        ({201: [field("Temperature1", "35.1 ℃", "℃")]}, {1: 35.1}),
        ({201: [field("Temperature1", "1 ℃", "℃")], 202: [field("Temperature1", "35.1 ℃", "℃")]}, {1: 35.1}),
        ({203: [field("BMSPackTemperature", "27.7 ℃", "℃")]}, {}),
        ({202: None}, {}),
    ],
)
async def test_every_field_of_the_inverter_in_degrees_celsius_is_a_temperature(
    http: aiohttp.ClientSession, nodes: dict[int, Any], expected: dict[int, float]
) -> None:
    def answer(request: web.Request) -> dict[str, Any]:
        if "devices" in request.path:
            return success([{"deviceId": 7, "deviceSn": "SN"}])
        return success({"config": [{"labelId": label, "data": data} for label, data in nodes.items()]})

    async with odd_portal(answer) as portal:
        reading = await client_of(http, portal.url, generation=1).inverter_reading("1", "SN")
    assert reading.temperatures == expected


@pytest.mark.parametrize(("offline", "known"), [(True, False), ("1", False), (False, True), (None, True)])
async def test_old_values_of_offline_inverters_are_not_used(
    http: aiohttp.ClientSession, offline: Any, known: bool
) -> None:
    data = {
        "allInverterOffline": offline,
        "accumulatedData": {"todayEnergy": 5, "todayEnergyUnit": "kWh"},
        "dataNodeMap": {"inputNode": {"currentData": 5, "currentDataUnit": "W", "flowDirection": 1}},
    }
    async with odd_portal(lambda _: success(data)) as portal:
        reading = await client_of(http, portal.url, generation=1).station_reading("1")
    assert reading == (StationReading(pv_energy_today=5.0, pv_power=5.0) if known else StationReading())


@GENERATION1
async def test_the_observed_spelling_is_read_as_the_plant(
    http: aiohttp.ClientSession, simulator: PortalSimulator
) -> None:
    """The demo account, which plays what was observed, reads as the family's, whose plant it is."""
    inverter = HOUSE.inverters[0]
    demo = client_of(http, simulator.url, None, generation=1)
    family = client_of(http, simulator.url, Credentials(FAMILY, digest_of("sunshine")), generation=1)
    assert await demo.station_reading(HOUSE.station_id) == await family.station_reading(HOUSE.station_id)
    assert await demo.month_rows(HOUSE.station_id, NOON.year, NOON.month) == await family.month_rows(
        HOUSE.station_id, NOON.year, NOON.month
    )
    observed = await demo.inverter_reading(HOUSE.station_id, inverter.serial)
    usual = await family.inverter_reading(HOUSE.station_id, inverter.serial)
    assert (observed.battery.power, observed.battery.voltage) == (usual.battery.power, usual.battery.voltage)
    assert (observed.phases, observed.strings) == (usual.phases, usual.strings)
    assert observed.temperatures == {1: usual.temperatures[1]}
