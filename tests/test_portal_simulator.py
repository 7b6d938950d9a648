"""The simulated portal: what it answers over HTTP, against its own model and the portal's reference."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
import hashlib
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
import signal
import subprocess
from typing import Any

import aiohttp
from freezegun.api import FrozenDateTimeFactory
from hypothesis import given, settings, strategies as st
import pytest

from .portal_simulator import (
    BARN,
    CABIN,
    FARM,
    HOUSE,
    STEP,
    Account,
    Energies,
    PlantDescription,
    PortalSimulator,
    Station,
    plant_of,
)
from .portal_simulator.plant import Inverter
from .portal_simulator.plants import make_accounts

pytestmark = pytest.mark.usefixtures("socket_enabled")

PLANTS = (HOUSE, BARN, FARM)
METERED = (HOUSE, FARM)
NOON = datetime(2024, 6, 12, 10, 2, 30, tzinfo=UTC)
SCRIPT = Path(__file__).parents[1] / "scripts" / "portal-simulator"
SHORT = timedelta(hours=1)


def each(*plants: PlantDescription) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("description", plants, ids=lambda plant: plant.name.split(";")[0])


def login_of(email: str, password: str) -> dict[str, Any]:
    digest = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
    return {"channel": 1, "email": email, "password": base64.b64encode(digest.encode()).decode(), "salt": digest}


class Client:
    """Asks the simulator as a client of generation 1 does."""

    def __init__(self, simulator: PortalSimulator, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.session = session
        self.headers = {"Authorization": "", "Content-Type": "application/json; charset=UTF-8"}

    async def ask(self, path: str, body: Any = None, **query: str) -> dict[str, Any]:
        """The envelope of an answer: to a POST if there is a body."""
        method = "GET" if body is None else "POST"
        data = body if isinstance(body, bytes) else None
        async with self.session.request(
            method,
            f"{self.simulator.url}/api/sys/{path}",
            json=None if data else body,
            data=data,
            params=query,
            headers=self.headers,
        ) as response:
            assert response.status == 200
            envelope: dict[str, Any] = await response.json()
        assert set(envelope) == {"code", "msg", "data", "time"}
        return envelope

    async def data(self, path: str, body: Any = None, **query: str) -> Any:
        envelope = await self.ask(path, body, **query)
        assert (envelope["code"], envelope["msg"]) == ("1000000", "success")
        return envelope["data"]

    async def log_in(self, account: Account) -> None:
        data = await self.data("login/manager", login_of(account.email, account.password))
        self.headers["Authorization"] = data["token"]

    async def now(self, plant: PlantDescription) -> Any:
        return await self.data("curve/station/getSingleStationDataV2", id=plant.station_id)

    async def curve(self, plant: PlantDescription, day: str, offset: int = 120) -> Any:
        return await self.data("curve/station/queryStationCurve", curve_request(plant, date=day, timeZoneOffset=offset))

    async def rows(self, plant: PlantDescription, duration: int, day: str) -> list[dict[str, Any]]:
        body = curve_request(plant, durationType=duration, date=day, type="update")
        data: dict[str, list[dict[str, Any]]] = await self.data("curve/station/queryStationBarChart", body)
        return data["curve"]

    async def device(self, device_id: str) -> dict[int, Any]:
        data = await self.data("device/getDeviceDataV3", id=device_id)
        return {node["labelId"]: node["data"] for node in data["config"]}


def curve_request(plant: PlantDescription = HOUSE, **changes: Any) -> dict[str, Any]:
    request = {
        "stationId": plant.station_id,
        "durationType": 1,
        "date": "2024-06-12",
        "stationType": 0,
        "timeZoneOffset": 120,
        "type": "powerflow",
    }
    return request | changes


@asynccontextmanager
async def portal(
    now: datetime | None = NOON, email: str = "village@example.com", seed: int = 1
) -> AsyncIterator[tuple[PortalSimulator, Client]]:
    """A simulator, and a client that is logged in as `email` unless that is empty."""
    async with PortalSimulator(seed, now) as simulator, aiohttp.ClientSession() as session:
        client = Client(simulator, session)
        if email:
            await client.log_in(simulator.accounts[email])
        yield simulator, client


def kwh(row: dict[str, Any]) -> Energies:
    return Energies(
        pv=row["eTotal"],
        import_=row["ebuytotal"],
        export=row["eselltotal"],
        charge=row["ebatteryCharge"],
        discharge=row["ebatteryDischarge"],
        consumption=row["eusetotal"],
    )


def imbalance(e: Energies) -> float:
    return e.pv + e.import_ + e.discharge - e.consumption - e.export - e.charge


def watts(node: dict[str, Any]) -> float:
    return float(node["currentData"]) * {"W": 1, "kW": 1000}[node["currentDataUnit"]]


def signed(node: dict[str, Any]) -> float:
    return watts(node) * {1: 1, 2: -1, 3: 0, 0: 0}[node["flowDirection"]]


# The model


@each(*PLANTS)
@settings(max_examples=60, deadline=None)
@given(minutes=st.integers(0, 1400 * 1440))
def test_every_step_is_balanced_and_within_the_plants_limits(description: PlantDescription, minutes: int) -> None:
    plant = plant_of(description, 1)
    powers = plant.power(plant.day_start(description.installed) + timedelta(minutes=minutes))

    assert powers.pv + powers.grid + powers.battery == pytest.approx(powers.load)
    assert powers.load > 0
    assert powers.pv == pytest.approx(sum(sum(each.strings.values()) for each in powers.inverters.values()))
    assert powers.battery == sum(each.battery for each in powers.inverters.values())
    for inverter in description.inverters:
        assert powers.inverters[inverter.device_id].ac <= inverter.rated + 0.01
    if battery := description.battery:
        assert abs(powers.battery) <= battery.power
        assert powers.soc is not None
        assert battery.reserve - 0.01 <= powers.soc <= 100.01
    else:
        assert (powers.battery, powers.soc) == (0, None)


@each(*PLANTS)
@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 1300 * 86400), min_size=3, max_size=3))
def test_energies_of_adjoining_periods_add_up_and_balance(description: PlantDescription, cuts: list[int]) -> None:
    plant = plant_of(description, 1)
    a, b, c = (plant.day_start(description.installed) + timedelta(seconds=cut) for cut in sorted(cuts))

    whole = plant.energy(a, c)
    assert imbalance(whole) == pytest.approx(0, abs=1e-6)
    parts = plant.energy(a, b) + plant.energy(b, c)
    assert imbalance(whole - parts) == pytest.approx(0, abs=1e-6)
    assert parts.pv == pytest.approx(whole.pv)
    assert parts.consumption == pytest.approx(whole.consumption)
    assert plant.energy(c, a) == Energies() or a == c


@each(HOUSE, FARM)
def test_state_of_charge_follows_from_the_battery_power_over_midnight(description: PlantDescription) -> None:
    plant, battery = plant_of(description, 1), description.battery
    assert battery
    moments = list(plant.steps(plant.day_start(date(2024, 6, 11)), plant.day_start(date(2024, 6, 14))))
    for moment, following in pairwise(moments):
        powers, after = plant.power(moment), plant.power(following)
        assert powers.soc is not None
        assert after.soc is not None
        factor = 1 / battery.efficiency if powers.battery > 0 else battery.efficiency
        stored = -powers.battery * factor * STEP / 3.6e6
        assert after.soc == pytest.approx(powers.soc + 100 * stored / battery.capacity, abs=1e-6)


def test_a_seed_gives_the_same_life_and_another_seed_another() -> None:
    same, other = plant_of.__wrapped__(HOUSE, 1), plant_of(HOUSE, 2)
    assert same is not plant_of(HOUSE, 1)
    assert same.power(NOON) == plant_of(HOUSE, 1).power(NOON)
    assert same.day(date(2024, 6, 12)) == plant_of(HOUSE, 1).day(date(2024, 6, 12))
    assert same.day(date(2024, 6, 12)) != other.day(date(2024, 6, 12))


def test_the_year_is_that_of_a_plant_in_germany() -> None:
    plant = plant_of(HOUSE, 1)
    year = plant.energy(plant.day_start(date(2024, 1, 1)), plant.day_start(date(2025, 1, 1)))
    assert 800 < year.pv / 8 < 1100
    assert 3000 < year.consumption < 7000
    night = plant.power(datetime(2024, 6, 12, 0, 0, tzinfo=UTC))
    assert night.pv == 0


@each(*PLANTS)
def test_before_the_installation_there_is_nothing(description: PlantDescription) -> None:
    plant = plant_of(description, 1)
    start = plant.day_start(description.installed)
    assert plant.energy(start - timedelta(days=400), start) == Energies()
    assert list(plant.steps(start - timedelta(days=1), start)) == []
    assert plant.power(start - timedelta(seconds=1)).load == 0


# Agreement of the answers


@each(*METERED)
async def test_live_values_agree_with_the_model_and_the_curve(description: PlantDescription) -> None:
    async with portal() as (simulator, client):
        simulator.token_lifetime = timedelta(days=1)
        for hours in (0, 6, 11, 15, 20):
            simulator.clock.set(NOON + timedelta(hours=hours))
            now = simulator.clock.now()
            plant = plant_of(description, simulator.seed)
            powers = plant.power(now)
            nodes = (await client.now(description))["dataNodeMap"]
            assert watts(nodes["inputNode"]) == pytest.approx(powers.pv, abs=0.51)
            assert watts(nodes["loadNode"]) == pytest.approx(powers.load, abs=0.51)
            assert signed(nodes["meterNode"]) == pytest.approx(powers.grid, abs=0.51)
            assert signed(nodes["batteryNode"]) == pytest.approx(powers.battery, abs=0.51)
            assert float(nodes["batteryNode"]["otherData"]) == pytest.approx(powers.soc, abs=0.051)

            day = plant.local_date(now)
            point = (await client.curve(description, day.isoformat()))["curve"][-1]
            assert point["dateStamp"] == int(now.timestamp()) // STEP * STEP * 1000
            assert point["power"] * 1000 == pytest.approx(powers.pv, abs=0.51)
            assert point["loadPower"] * 1000 == pytest.approx(powers.load, abs=0.51)
            assert point["pMeter"] * 1000 == pytest.approx(powers.grid, abs=0.51)
            assert point["battery"] * 1000 == pytest.approx(powers.battery, abs=0.51)
            assert point["SOC"] == pytest.approx(powers.soc, abs=0.051)


@each(*METERED)
async def test_curve_day_month_year_and_lifetime_agree(description: PlantDescription) -> None:
    async with portal() as (simulator, client):
        plant = plant_of(description, simulator.seed)
        day = await client.curve(description, "2024-06-12")
        month = [row for row in await client.rows(description, 2, "2024-06") if row["eTotal"] is not None]
        year = [row for row in await client.rows(description, 3, "2024") if row["eTotal"] is not None]
        life = await client.rows(description, 4, "")
        live = (await client.now(description))["accumulatedData"]

        assert [row["date"] for row in month] == [f"{n:02}" for n in range(1, 13)]
        assert [row["date"] for row in year] == [f"{n:02}" for n in range(1, 7)]
        assert [row["date"] for row in life] == ["2023", "2024"]
        today, graph = kwh(month[-1]), day["eRatioGraph"]
        assert graph == {
            "eMeterTotalBuy": today.import_,
            "eMeterTotalSell": today.export,
            "eUse": today.consumption,
            "eUseSelf": pytest.approx(today.consumption - today.import_),
            "eDayTotal": today.pv,
        }
        hours = [STEP / 3600] * (len(day["curve"]) - 1) + [150 / 3600]
        curve_pv = sum(point["power"] * h for point, h in zip(day["curve"], hours, strict=True))
        assert curve_pv == pytest.approx(today.pv, abs=0.05)
        for rows, total in ((month, year[-1]), (year, life[-1])):
            difference = sum((kwh(row) for row in rows), Energies()) - kwh(total)
            assert [*vars(difference).values()] == pytest.approx([0] * 6, abs=0.005 * (len(rows) + 1))
        for name, expected in (
            ("todayEnergy", today.pv),
            ("monthEneregy", year[-1]["eTotal"]),
            ("yearEnergy", life[-1]["eTotal"]),
            ("totalEnergy", sum(row["eTotal"] for row in life)),
        ):
            factor = {"Wh": 0.001, "kWh": 1, "MWh": 1000}[live[f"{name}Unit"]]
            assert float(live[name]) * factor == pytest.approx(expected, abs=0.6 * max(factor / 1000, 0.02))
        assert kwh(month[0]).consumption == pytest.approx(plant.day(date(2024, 6, 1)).consumption, abs=0.006)


@each(*METERED)
async def test_every_row_and_point_is_balanced(description: PlantDescription) -> None:
    async with portal() as (_, client):
        for duration, period in ((2, "2024-02"), (2, "2024-06"), (3, "2024"), (4, "")):
            for row in await client.rows(description, duration, period):
                recorded = row["eTotal"] is not None and (description is HOUSE or row["date"] != "2023")
                if recorded:
                    assert imbalance(kwh(row)) == pytest.approx(0, abs=0.031)
        for point in (await client.curve(description, "2024-06-11"))["curve"]:
            assert point["power"] + point["pMeter"] + point["battery"] == pytest.approx(point["loadPower"], abs=0.0021)


async def test_lifetime_energy_never_falls_and_units_follow_the_magnitude() -> None:
    start = plant_of(HOUSE, 1).day_start(HOUSE.installed)
    async with portal(start) as (simulator, client):
        simulator.token_lifetime = timedelta(days=1000)
        units, last = [], 0.0
        for hours in (0, 8, 9, 10, 12, 24, 24 * 30, 24 * 365, 24 * 700):
            simulator.clock.set(start + timedelta(hours=hours))
            live = (await client.now(HOUSE))["accumulatedData"]
            total = float(live["totalEnergy"]) * {"Wh": 1, "kWh": 1e3, "MWh": 1e6}[live["totalEnergyUnit"]]
            assert total >= last
            last = total
            units.append(live["totalEnergyUnit"])
        assert units[0] == "Wh"
        assert units[-1] == "MWh"
        assert "kWh" in units


# Days and zones


@pytest.mark.parametrize(("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25), ("2024-02-29", 24)])
async def test_local_days_have_their_true_length(day: str, hours: int) -> None:
    plant = plant_of(HOUSE, 1)
    local = date.fromisoformat(day)
    start = plant.day_start(local)
    end = plant.day_start(local + timedelta(days=1))
    assert end - start == timedelta(hours=hours)
    steps = list(plant.steps(start, end))
    assert len(steps) == hours * 12
    summed = sum(plant.power(step).load for step in steps) * STEP / 3.6e6
    assert plant.day(local).consumption == pytest.approx(summed)

    async with portal(datetime(2025, 1, 2, tzinfo=UTC)) as (_, client):
        row = next(row for row in await client.rows(HOUSE, 2, day[:7]) if row["date"] == day[-2:])
        assert row["eusetotal"] == pytest.approx(summed, abs=0.006)
        assert len((await client.curve(HOUSE, day, 60))["curve"]) == 288


async def test_the_curve_is_the_day_of_the_clients_zone() -> None:
    async with portal() as (_, client):
        for offset in (0, 120, -300, 345):
            curve = (await client.curve(HOUSE, "2024-06-10", offset))["curve"]
            first = datetime(2024, 6, 10, tzinfo=UTC) - timedelta(minutes=offset)
            stamps = [int(first.timestamp() + STEP * n) * 1000 for n in range(288)]
            assert [point["dateStamp"] for point in curve] == stamps


async def test_leap_day_and_year_boundary_have_rows() -> None:
    async with portal(datetime(2024, 12, 31, 22, 59, 59, tzinfo=UTC)) as (simulator, client):
        assert [row["date"] for row in await client.rows(HOUSE, 2, "2024-02")][-1] == "29"
        old = await client.now(HOUSE)
        assert float(old["accumulatedData"]["yearEnergy"]) > 1
        assert len(await client.rows(HOUSE, 4, "")) == 2

        simulator.clock.advance(timedelta(seconds=1))
        new = (await client.now(HOUSE))["accumulatedData"]
        assert [float(new[name]) for name in ("todayEnergy", "monthEneregy", "yearEnergy")] == [0, 0, 0]
        assert new["totalEnergy"] == old["accumulatedData"]["totalEnergy"]
        assert [row["date"] for row in await client.rows(HOUSE, 4, "")] == ["2023", "2024", "2025"]
        row = (await client.rows(HOUSE, 3, "2025"))[0]
        assert (row["date"], row["eTotal"], row["eusetotal"]) == ("01", 0, 0)


async def test_nothing_before_the_installation_or_after_now() -> None:
    async with portal() as (simulator, client):
        for day in ("2023-04-17", "2024-06-13"):
            answer = await client.curve(HOUSE, day)
            assert answer["curve"] == []
            assert set(answer["eRatioGraph"].values()) == {None}
        assert len((await client.curve(HOUSE, "2023-04-18"))["curve"]) == 288
        assert await client.rows(HOUSE, 2, "2023-03") == []
        assert (await client.rows(HOUSE, 2, "2023-04"))[0]["date"] == "18"
        assert (await client.rows(HOUSE, 3, "2023"))[0]["date"] == "04"
        assert await client.rows(HOUSE, 2, "2024-07") == []
        assert await client.rows(HOUSE, 3, "2025") == []

        simulator.clock.set(datetime(2022, 5, 1, tzinfo=UTC))
        assert (await client.curve(HOUSE, "2022-05-01"))["curve"] == []
        assert await client.rows(HOUSE, 4, "") == []
        assert float((await client.now(HOUSE))["accumulatedData"]["totalEnergy"]) == 0


# Quirks


async def test_station_and_device_lists() -> None:
    async with portal() as (simulator, client):
        data = await client.data("basePowerStationInfo/getRunningOverview", income="0.32")
        assert data == {"top10List": [{"stationId": p.station_id, "stationName": p.name} for p in PLANTS]}
        for plant in PLANTS:
            assert str(int(float(plant.station_id))) != plant.station_id
            devices = await client.data("managerv2/station/devices/query", stationId=plant.station_id)
            assert [device["deviceId"] for device in devices] == [i.device_id for i in plant.inverters]
            assert set(devices[0]) == {"deviceId", "deviceName", "deviceSn", "deviceType", "modelType"}

        await client.log_in(simulator.accounts["empty@example.com"])
        assert await client.data("basePowerStationInfo/getRunningOverview") == {"top10List": []}


async def test_stations_and_inverters_come_and_go() -> None:
    async with portal(email="family@example.com") as (simulator, client):
        village, family = simulator.accounts["village@example.com"], simulator.accounts["family@example.com"]
        farm = village.stations[2]
        family.stations.append(farm)
        assert len((await client.data("basePowerStationInfo/getRunningOverview"))["top10List"]) == 2
        gone = farm.inverters.pop()
        devices = await client.data("managerv2/station/devices/query", stationId=FARM.station_id)
        assert [device["deviceSn"] for device in devices] == [FARM.inverters[0].serial]
        assert (await client.ask("device/getDeviceDataV3", id=gone.device_id))["code"] != "1000000"
        family.stations.remove(farm)
        assert (await client.ask("curve/station/getSingleStationDataV2", id=FARM.station_id))["code"] != "1000000"


async def test_the_ordinary_plant_sends_text_and_rows_to_come() -> None:
    async with portal() as (simulator, client):
        live = await client.now(HOUSE)
        assert set(live) == {"stationRunStatus", "stationRunType", "lackMaster", "accumulatedData", "dataNodeMap"}
        assert set(live["dataNodeMap"]) == {"inputNode", "loadNode", "batteryNode", "meterNode"}
        assert all(isinstance(node["currentData"], str) for node in live["dataNodeMap"].values())
        assert not any(node["currentData"].startswith("-") for node in live["dataNodeMap"].values())
        month = await client.rows(HOUSE, 2, "2024-06")
        assert [row["date"] for row in month] == [f"{n:02}" for n in range(1, 31)]
        assert {value for row in month[12:] for name, value in row.items() if name != "date"} == {None}
        assert len(await client.rows(HOUSE, 3, "2024")) == 12

        assert live["lackMaster"] == 0
        simulator.accounts["family@example.com"].stations[0].outage = True
        assert (await client.now(HOUSE))["lackMaster"] == 1


async def test_the_pv_only_plant_knows_nothing_else_and_spells_oddly() -> None:
    async with portal() as (_, client):
        live = await client.now(BARN)
        assert list(live["dataNodeMap"]) == ["inputNode"]
        assert isinstance(live["dataNodeMap"]["inputNode"]["currentData"], float)
        assert live["lackMaster"] is False
        day = await client.curve(BARN, "2024-06-12")
        assert day["eRatioGraph"].pop("eDayTotal") > 0
        assert set(day["eRatioGraph"].values()) == {None}
        for point in day["curve"]:
            assert point["power"] >= 0
            assert {point[name] for name in ("loadPower", "pMeter", "battery", "SOC")} == {None}
        for duration, period, dates in ((2, "2024-06", range(1, 13)), (3, "2024", range(1, 7)), (4, "", (2023, 2024))):
            rows = await client.rows(BARN, duration, period)
            assert [row.pop("date") for row in rows] == list(dates)
            assert all(row.pop("eTotal") > 0 for row in rows)
            assert {value for row in rows for value in row.values()} == {None}
        device = await client.device(BARN.inverters[0].device_id)
        assert list(device) == [202, 206, 502]
        assert [field["value"] for field in device[202]][-2:] == ["--", ""]
        assert [cell["field"] for row in device[206] for cell in row.values()] == [
            "Invt_A_P",
            "Vgrid_PhaseA",
            "Igrid_PhaseA",
        ]


async def test_consumption_was_not_recorded_before_march_2023() -> None:
    async with portal() as (simulator, client):
        plant = plant_of(FARM, simulator.seed)
        march = {row["date"]: row["eusetotal"] for row in await client.rows(FARM, 2, "2023-03")}
        assert {march[f"{n:02}"] for n in range(1, 7)} == {0}
        assert march["07"] == pytest.approx(plant.day(date(2023, 3, 7)).consumption, abs=0.006)
        year = await client.rows(FARM, 3, "2023")
        assert [row["eusetotal"] for row in year[:2]] == [0, 0]
        assert year[2]["eusetotal"] == pytest.approx(sum(march.values()), abs=0.2)
        assert year[0]["eTotal"] > 0
        life = await client.rows(FARM, 4, "")
        assert life[0]["eusetotal"] == pytest.approx(sum(row["eusetotal"] for row in year), abs=0.1)
        assert (await client.curve(FARM, "2023-02-01", 60))["eRatioGraph"]["eUse"] > 0


@each(*PLANTS)
async def test_device_readings_agree_with_the_model(description: PlantDescription) -> None:
    async with portal() as (simulator, client):
        powers = plant_of(description, simulator.seed).power(simulator.clock.now())
        for inverter in description.inverters:
            share = powers.inverters[inverter.device_id]
            device = await client.device(inverter.device_id)
            assert (203 in device) == bool(inverter.battery)
            temperature = str(device[202][0]["value"])
            assert 15 < float(temperature.removesuffix("℃")) < 60
            check_phases(device[206], inverter, share.ac, powers.grid)
            check_strings(device[502], share.strings)
            assert [row["name"] for row in device[502]] == [{"value": string.name} for string in inverter.strings]
            if inverter.battery:
                battery = {field["field"]: float(field["value"].split()[0]) for field in device[203]}
                assert battery["Battery_P"] * 1000 == pytest.approx(powers.battery, abs=0.51)
                assert battery["Battery_V"] * battery["Battery_I"] == pytest.approx(powers.battery, abs=0.5)
                assert battery["SOC"] == pytest.approx(powers.soc, abs=0.051)


def check_phases(rows: list[Any], inverter: Inverter, ac: float, grid: float) -> None:
    """See that an inverter's phases have its power and, if it has a meter, the grid's, in W."""
    cells = {cell["field"]: cell["value"] for row in rows for cell in row.values()}
    assert len(rows) == len(inverter.phases)
    assert sum(cells[f"Invt_{phase}_P"] for phase in inverter.phases) * 1000 == pytest.approx(ac, abs=1.6)
    for phase in inverter.phases:
        product = cells[f"Vgrid_Phase{phase}"] * cells[f"Igrid_Phase{phase}"]
        assert product == pytest.approx(cells[f"Invt_{phase}_P"] * 1000, abs=2)
    if inverter.meter:
        assert sum(cells[f"PmeterPhase{phase}"] for phase in inverter.phases) * 1000 == pytest.approx(grid, abs=1.6)


def check_strings(rows: list[Any], strings: Mapping[str, float]) -> None:
    """See that rows have the power of each string in W."""
    for row, (name, output) in zip(rows, strings.items(), strict=True):
        values = {cell["field"]: cell["value"] for cell in row.values() if "field" in cell}
        assert list(values) == [f"power{name}", f"V{name}", f"I{name}"]
        assert values[f"power{name}"] * 1000 == pytest.approx(output, abs=0.51)
        assert values[f"V{name}"] * values[f"I{name}"] == pytest.approx(output, abs=2.5)


async def test_device_values_of_the_ordinary_plant_carry_their_unit() -> None:
    async with portal() as (_, client):
        device = await client.device(HOUSE.inverters[0].device_id)
        assert [field["value"].split()[1] for field in device[203]] == ["kW", "V", "A", "%"]
        assert device[202][0]["value"].endswith(" ℃")


# Login, refusals, log


@pytest.mark.parametrize("account", make_accounts().values(), ids=lambda account: account.email)
async def test_every_account_can_log_in(account: Account) -> None:
    async with portal(email="") as (simulator, client):
        for email in (account.email, account.email.upper()):
            token = (await client.data("login/manager", login_of(email, account.password)))["token"]
            client.headers["Authorization"] = token
            assert "top10List" in await client.data("basePowerStationInfo/getRunningOverview", income="0.32")
        assert simulator.logins == 2
        assert [call.account for call in simulator.requests] == [account.email] * 4


async def test_the_demo_account_needs_no_password() -> None:
    async with portal(email="") as (simulator, client):
        data = await client.data("login/demoManager", {"channel": 1, "email": "2312942037@qq.com"})
        client.headers["Authorization"] = data["token"]
        overview = await client.data("basePowerStationInfo/getRunningOverview", income="0.32")
        assert overview["top10List"][0]["stationId"] == HOUSE.station_id
        refused = await client.ask("login/demoManager", {"channel": 1, "email": "family@example.com"})
        assert refused["code"] not in {"1000000", "3010022", "3010107"}
        assert simulator.logins == 1


GOOD_LOGIN = login_of("family@example.com", "sunshine")


@pytest.mark.parametrize(
    "body",
    [
        login_of("family@example.com", "wrong"),
        login_of("nobody@example.com", "sunshine"),
        GOOD_LOGIN | {"channel": 2},
        GOOD_LOGIN | {"salt": "0" * 32},
        GOOD_LOGIN | {"password": "sunshine"},
        GOOD_LOGIN | {"password": GOOD_LOGIN["salt"]},
        GOOD_LOGIN | {"email": None},
        {"channel": 1, "email": "family@example.com"},
        b"{not json",
        b"[]",
        b"\xff",
    ],
    ids=str,
)
async def test_bad_logins_are_refused(body: Any) -> None:
    async with portal(email="") as (simulator, client):
        answer = await client.ask("login/manager", body)
        assert answer["code"] not in {"1000000", "3010022", "3010107"}
        assert answer["data"] is None
        assert answer["msg"]
        assert simulator.logins == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"stationId": "1641023978845093890"},
        {"stationId": BARN.station_id},
        {"stationId": int(HOUSE.station_id)},
        {"durationType": 2},
        {"durationType": "1"},
        {"durationType": True},
        {"date": "2024-6-12"},
        {"date": "2024-02-30"},
        {"date": "2024-06"},
        {"date": ""},
        {"date": None},
        {"timeZoneOffset": 100000},
        {"timeZoneOffset": "60"},
        {"type": "update"},
    ],
    ids=str,
)
async def test_bad_curve_requests_are_refused(changes: dict[str, Any]) -> None:
    async with portal(email="family@example.com") as (_, client):
        answer = await client.ask("curve/station/queryStationCurve", curve_request(**changes))
        assert answer["code"] not in {"1000000", "3010022", "3010107"}
        assert answer["data"] is None


@pytest.mark.parametrize(
    ("duration", "day"),
    [(1, "2024-06-12"), (2, "2024"), (2, "2024-13"), (3, "2024-06"), (3, ""), (4, "2024"), (5, ""), (0, "")],
)
async def test_bad_bar_chart_requests_are_refused(duration: int, day: str) -> None:
    async with portal(email="family@example.com") as (_, client):
        body = curve_request(durationType=duration, date=day, type="update")
        answer = await client.ask("curve/station/queryStationBarChart", body)
        assert answer["code"] not in {"1000000", "3010022", "3010107"}


@pytest.mark.parametrize("missing", list(curve_request()))
@pytest.mark.parametrize("path", ["queryStationCurve", "queryStationBarChart"])
async def test_a_chart_needs_all_its_fields(path: str, missing: str) -> None:
    async with portal(email="family@example.com") as (_, client):
        body = curve_request()
        del body[missing]
        answer = await client.ask(f"curve/station/{path}", body)
        assert answer["code"] not in {"1000000", "3010022", "3010107"}


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("managerv2/station/devices/query", {}),
        ("managerv2/station/devices/query", {"stationId": BARN.station_id}),
        ("curve/station/getSingleStationDataV2", {}),
        ("curve/station/getSingleStationDataV2", {"id": BARN.station_id}),
        ("device/getDeviceDataV3", {}),
        ("device/getDeviceDataV3", {"id": BARN.inverters[0].device_id}),
        ("device/getDeviceDataV3", {"id": "1"}),
    ],
)
async def test_what_is_missing_or_of_another_account_is_refused(path: str, query: dict[str, str]) -> None:
    async with portal(email="family@example.com") as (_, client):
        answer = await client.ask(path, **query)
        assert answer["code"] not in {"1000000", "3010022", "3010107"}


async def test_tokens_expire() -> None:
    async with portal() as (simulator, client):
        overview = "basePowerStationInfo/getRunningOverview"

        async def code() -> str:
            answer: str = (await client.ask(overview, income="0.32"))["code"]
            return answer

        good = client.headers["Authorization"]
        for bad in ("", "nonsense", f"Bearer {good}"):
            client.headers["Authorization"] = bad
            assert await code() == "3010022"
        client.headers["Authorization"] = good
        simulator.clock.advance(timedelta(hours=2, seconds=-1))
        assert await code() == "1000000"
        simulator.clock.advance(timedelta(seconds=1))
        assert await code() == "3010022"

        account = simulator.accounts["village@example.com"]
        await client.log_in(account)
        assert await code() == "1000000"
        simulator.expire_tokens()
        assert await code() == "3010022"
        await client.log_in(account)
        simulator.token_lifetime = timedelta(minutes=5)
        simulator.clock.advance(timedelta(minutes=5))
        assert await code() == "3010022"
        await client.log_in(account)
        del simulator.accounts["village@example.com"]
        assert await code() == "3010022"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "basePowerStationInfo/getRunningOverview", 405),
        ("GET", "login/manager", 405),
        ("GET", "curve/station/queryStationCurve", 405),
        ("GET", "nowhere", 404),
        ("POST", "", 404),
    ],
)
async def test_wrong_methods_and_paths(method: str, path: str, status: int) -> None:
    async with portal(email="") as (simulator, client):
        async with client.session.request(method, f"{simulator.url}/api/sys/{path}") as response:
            assert response.status == status
        call = simulator.requests[-1]
        assert (call.method, call.path, call.status, call.code) == (method, f"/api/sys/{path}", status, None)


async def test_parallel_requests_of_one_address_are_refused() -> None:
    async with portal() as (simulator, client):
        simulator.delay = 0.05
        overview = "basePowerStationInfo/getRunningOverview"
        answers = await asyncio.gather(*(client.ask(overview, income="0.32") for _ in range(3)))
        assert sorted(answer["code"] for answer in answers) == ["1000000", "3010107", "3010107"]
        simulator.delay = 0
        assert (await client.ask(overview, income="0.32"))["code"] == "1000000"


async def test_the_log_tells_what_was_asked_and_when() -> None:
    async with portal(email="family@example.com") as (simulator, client):
        simulator.delay = 0.01
        await client.curve(HOUSE, "2024-06-12")
        await client.now(HOUSE)
        login, curve, live = simulator.requests
        assert (login.method, login.path, login.body) == ("POST", "/api/sys/login/manager", GOOD_LOGIN)
        assert curve.body == curve_request()
        assert (live.method, live.query, live.body) == ("GET", {"id": HOUSE.station_id}, None)
        assert {call.account for call in simulator.requests} == {"family@example.com"}
        assert {(call.status, call.code) for call in simulator.requests} == {(200, "1000000")}
        assert curve.ended is not None
        assert curve.started + 0.009 <= curve.ended <= live.started


async def test_a_known_clients_habits_are_no_hindrance() -> None:
    async with portal(email="") as (_, client):
        client.headers["Host"] = "energybutler.mtec-portal.com"
        await client.log_in(make_accounts()["family@example.com"])
        for row in await client.rows(HOUSE, 2, "2024-06"):
            assert datetime.strptime("2024-06" + "-" + row["date"], "%Y-%m-%d").replace(tzinfo=UTC).year == 2024


# Generation 2


@asynccontextmanager
async def portal2(token: bool = True) -> AsyncIterator[tuple[PortalSimulator, Client, dict[str, str]]]:
    """A simulator, a client and the headers with which it asks in generation 2, with a token or without."""
    async with portal(email="") as (simulator, client):
        headers = {"ver": "pc"}
        if token:
            body = login_of("village@example.com", "together")
            del body["salt"]
            async with client.session.post(f"{simulator.url}/monitor/auth/login", json=body) as response:
                assert (await response.json())["data"] is None
                headers["token"] = response.headers["token"]
        yield simulator, client, headers


async def code2(client: Client, path: str, headers: dict[str, str], body: Any = None, **query: str) -> str:
    method = "GET" if body is None else "POST"
    url = f"{client.simulator.url}/monitor/{path}"
    async with client.session.request(method, url, json=body, params=query, headers=headers) as response:
        code: str = (await response.json())["code"]
        return code


INFO = "auth/info"
NOW = "core/power/station/overview/getSingleStationOverview"
CHART = "core/power/station/overview/getGridConnectedData"
TODAY = "core/curve/device/queryRealTimeData"
CHART_QUERY = {
    "id": HOUSE.station_id,
    "durationType": "2",
    "curveType": "1000",
    "date": "2024-06",
    "stationType": "1",
    "timeZoneOffset": "120",
}
TODAY_BODY = {
    "deviceSn": HOUSE.inverters[0].serial,
    "stationId": HOUSE.station_id,
    "iecPath": ["pac"],
    "time": "2024-06-12",
    "timeZoneOffset": 120,
}


async def test_generation_2_takes_its_own_tokens_alone() -> None:
    async with portal2() as (simulator, client, headers):
        good = headers.pop("token")
        assert await code2(client, INFO, {"token": good}, useFor="1") == "1000000"
        assert await code2(client, INFO, {"Cookie": f"token={good}"}, useFor="1") == "1000000"
        await client.log_in(simulator.accounts["village@example.com"])
        for bad in (headers, {"token": "nonsense"}, {"token": client.headers["Authorization"]}):
            assert (await code2(client, INFO, bad, useFor="1")).lower().startswith("auth_")
        client.headers["Authorization"] = good
        assert (await client.ask("basePowerStationInfo/getRunningOverview"))["code"] == "3010022"
        simulator.expire_tokens()
        assert (await code2(client, INFO, {"token": good}, useFor="1")).lower().startswith("auth_")


@pytest.mark.parametrize("password", ["wrong", "together"])
async def test_generation_2_refuses_bad_logins(password: str) -> None:
    async with portal2(token=False) as (simulator, client, headers):
        body = login_of("village@example.com", password) | ({"password": password} if password == "together" else {})
        assert (await code2(client, "auth/login", headers, body)).lower().startswith("auth_")
        assert simulator.logins == 0


@pytest.mark.parametrize(
    ("path", "query", "body"),
    [
        *(
            (CHART, {name: value for name, value in CHART_QUERY.items() if name != missing}, None)
            for missing in CHART_QUERY
        ),
        *((CHART, CHART_QUERY | {"durationType": bad}, None) for bad in ("0", "5", "x")),
        *((CHART, CHART_QUERY | {"date": bad}, None) for bad in ("2024", "2024-13", "")),
        *(
            (TODAY, {}, {name: value for name, value in TODAY_BODY.items() if name != missing})
            for missing in TODAY_BODY
        ),
        (TODAY, {}, TODAY_BODY | {"deviceSn": BARN.inverters[0].serial}),
        (TODAY, {}, TODAY_BODY | {"time": "2024-6-12"}),
        (NOW, {}, None),
        (NOW, {"id": "1"}, None),
        (INFO, {}, None),
        ("core/device/getListByStation/1", {}, None),
        ("core/power/station/monitoring/getPage", {"pageNum": "0"}, None),
        ("core/power/station/monitoring/getPage", {"pageSize": "x"}, None),
    ],
)
async def test_generation_2_refuses_bad_requests(path: str, query: dict[str, str], body: Any) -> None:
    async with portal2() as (_, client, headers):
        code = await code2(client, path, headers, body, **query)
        assert code not in {"1000000", "3010022", "3010107"}
        assert not code.lower().startswith("auth_")


async def test_generation_2_takes_good_requests() -> None:
    async with portal2() as (_, client, headers):
        assert await code2(client, CHART, headers, **CHART_QUERY) == "1000000"
        assert await code2(client, TODAY, headers, TODAY_BODY) == "1000000"
        assert await code2(client, NOW, headers, id=FARM.station_id) == "1000000"


@pytest.mark.parametrize(("speaks", "other"), [({1}, "monitor/auth/info"), ({2}, "api/sys/login/manager")])
async def test_what_is_not_spoken_is_not_there(speaks: set[int], other: str) -> None:
    async with portal(email="") as (simulator, client):
        simulator.speaks = speaks
        url, method = f"{simulator.url}/{other}", "POST" if "login" in other else "GET"
        async with client.session.request(method, url) as response:
            assert response.status == 404
        simulator.silent_page = True
        async with client.session.request(method, url) as response:
            assert (response.status, response.content_type) == (200, "text/html")
        assert [(call.status, call.code) for call in simulator.requests] == [(404, None), (200, None)]


# Clients that were written for the real portals


async def test_the_demo_account_plays_what_was_observed() -> None:
    """As M-TEC-API's client reads it: the numbers of a station are numbers."""
    async with portal(email="") as (simulator, client):
        data = await client.data("login/demoManager", {"channel": 1, "email": "2312942037@qq.com"})
        client.headers["Authorization"] = data["token"]
        powers = plant_of(HOUSE, simulator.seed).power(NOON)

        live = await client.now(HOUSE)
        assert (live["stationRunStatus"], live["stationRunType"], live["lackMaster"]) == (1, 0, 0)
        assert not isinstance(live["lackMaster"], bool)
        for name in ("todayEnergy", "monthEneregy", "yearEnergy", "totalEnergy"):
            assert type(live["accumulatedData"][name]) is float
            assert live["accumulatedData"][f"{name}Unit"] in {"Wh", "kWh", "MWh", "GWh"}
        assert set(live["dataNodeMap"]) == {"inputNode", "loadNode", "batteryNode", "meterNode"}
        for node in live["dataNodeMap"].values():
            assert type(node["currentData"]) is float
            assert node["currentDataUnit"] in {"W", "kW"}
            assert node["flowDirection"] in {1, 2, 3}
        assert live["dataNodeMap"]["batteryNode"]["otherData"] == pytest.approx(powers.soc, abs=0.051)

        month, life = await client.rows(HOUSE, 2, "2024-06"), await client.rows(HOUSE, 4, "")
        assert [row["date"] for row in month] == [f"{n:02}" for n in range(1, 13)]
        assert [row["date"] for row in life] == ["2023", "2024"]
        for row in (*month, *life):
            assert {type(value) for name, value in row.items() if name != "date"} == {float}


async def test_devices_of_the_demo_account_are_as_observed() -> None:
    """As M-TEC-API's client reads them: a value carries its unit wherever one is given."""
    async with portal(email="2312942037@qq.com") as (simulator, client):
        powers = plant_of(HOUSE, simulator.seed).power(NOON)
        (listed,) = await client.data("managerv2/station/devices/query", stationId=HOUSE.station_id)
        device = await client.device(listed["deviceId"])
        assert list(device) == [202, 203, 206, 502]
        for field in filter(itemgetter("unit"), (*device[202], *device[203])):
            number, unit = field["value"].split(" ")
            assert (str(float(number)).startswith(number), unit) == (True, field["unit"])
        assert [field["field"] for field in device[202] if field["unit"] == "℃"] == ["Temperature1"]
        battery = {field["field"]: float(field["value"].split(" ")[0]) for field in device[203]}
        assert battery["Battery_P"] * 1000 == pytest.approx(powers.battery, abs=0.51)
        assert battery["SOC"] == pytest.approx(powers.soc, abs=0.051)
        assert [row["cell1"] for row in device[206]] == [{"value": "L1"}, {"value": "L2"}, {"value": "L3"}]
        cells = {cell["field"]: cell["value"] for row in device[206] for cell in row.values() if "field" in cell}
        names = ["Invt_{}_P", "Vgrid_Phase{}", "Igrid_Phase{}", "PmeterPhase{}", *(f"Backup_{{}}_{x}" for x in "VIPF")]
        assert set(cells) == {name.format(phase) for phase in "ABC" for name in names}
        assert {type(value) for value in cells.values()} == {float}
        for number, row in enumerate(device[502], 1):
            assert row["cell1"] == {"value": f"PV{number}"}
            fields = [cell["field"] for cell in row.values() if "field" in cell]
            assert fields == [f"Vpv{number}", f"Ipv{number}", f"powerPv{number}"]
        assert len(device[502]) == 2


async def test_a_spelling_is_of_an_account_and_the_plant_is_the_same() -> None:
    async with portal(email="family@example.com") as (simulator, client):
        family = (await client.now(HOUSE))["dataNodeMap"]
        await client.log_in(simulator.accounts["2312942037@qq.com"])
        demo = (await client.now(HOUSE))["dataNodeMap"]
        assert {type(node["currentData"]) for node in family.values()} == {str}
        assert {type(node["currentData"]) for node in demo.values()} == {float}
        assert demo.keys() == family.keys()
        assert [signed(demo[name]) for name in family] == [signed(node) for node in family.values()]


OVERVIEW = {
    "id": str,
    "runType": int,
    "hasSmartDevice": bool,
    "allInverterOffline": bool,
    "status": int,
    **{
        f"arrow{flow}": int
        for flow in ("ModuleInverter", "InverterGrid", "GridInverter", "InverterLoad", "LoadInverter")
    },
    **{f"arrow{flow}": int for flow in ("InverterGrid", "GridInverter", "InverterLoad", "LoadInverter")},
    **{f"arrow{flow}": int for flow in ("ModuleInverter", "BatteryInverter", "InverterBattery")},
    **dict.fromkeys(("pac", "pmeterTotal", "pload", "eday", "emonth", "eyear", "etotal", "soc", "batteryP"), float),
    **{f"{name}Unit": str for name in ("pac", "pmeterTotal", "pload", "eday", "emonth", "eyear", "etotal", "batteryP")},
}
"""Types of the sister portal's overview in generation 1, which a client in Go insists on."""


@pytest.mark.parametrize("email", ["sunways@example.com", "family@example.com"])
async def test_the_sister_portals_overview_of_generation_1(email: str) -> None:
    path, factor = "curve/station/getSingleStationOverview", {"W": 1, "kW": 1000}
    async with portal(email=email) as (simulator, client):
        plant = plant_of(HOUSE, simulator.seed)
        powers, before = plant.power(NOON), plant.power(NOON - SHORT)
        overview = await client.data(path, id=HOUSE.station_id)
        assert {name: type(overview[name]) for name in OVERVIEW} == OVERVIEW
        assert overview["allInverterOffline"] is False
        assert overview["pac"] * factor[overview["pacUnit"]] == pytest.approx(powers.pv, abs=0.51)
        assert overview["pload"] * factor[overview["ploadUnit"]] == pytest.approx(powers.load, abs=0.51)
        assert overview["batteryP"] * factor[overview["batteryPUnit"]] == pytest.approx(abs(powers.battery), abs=0.51)

        simulator.accounts[email].stations[0].offline = True
        old = await client.data(path, id=HOUSE.station_id)
        assert old["allInverterOffline"] is True
        assert old["pac"] * factor[old["pacUnit"]] == pytest.approx(before.pv, abs=0.51)

        assert (await client.ask(path))["code"] == "3010400"
        assert (await client.ask(path, id=BARN.station_id))["code"] == "3010404"
        client.headers["Authorization"] = ""
        assert (await client.ask(path, id=HOUSE.station_id))["code"] == "3010022"


async def test_a_plant_without_battery_or_meter_has_an_overview_too() -> None:
    async with portal(email="barn@example.com") as (_, client):
        overview = await client.data("curve/station/getSingleStationOverview", id=BARN.station_id)
        assert (overview["soc"], overview["batteryP"], overview["pload"]) == (None, None, None)
        assert overview["pac"] > 0


async def test_the_channel_may_be_text() -> None:
    async with portal(email="") as (simulator, client):
        demo = {"channel": "1", "email": "2312942037@qq.com"}
        body = {name: value for name, value in GOOD_LOGIN.items() if name != "salt"}
        assert (await client.data("login/manager", GOOD_LOGIN | {"channel": "1"}))["token"]
        assert (await client.data("login/demoManager", demo))["token"]
        assert await code2(client, "auth/login", {"ver": "pc"}, body | {"channel": "1"}) == "1000000"
        assert simulator.logins == 3
        for channel in ("2", "", None, True, [1], "1.0"):
            assert (await client.ask("login/manager", GOOD_LOGIN | {"channel": channel}))["code"] == "3010400"
            assert (await client.ask("login/demoManager", demo | {"channel": channel}))["code"] == "3010400"
            assert await code2(client, "auth/login", {"ver": "pc"}, body | {"channel": channel}) == "3010400"


async def test_a_day_of_generation_1_where_generation_2_has_it() -> None:
    path = "curve/station/getGridConnectedData"
    query = {"id": HOUSE.station_id, "durationType": "1", "date": "2024-06-12", "timeZoneOffset": "60"}
    async with portal(email="family@example.com") as (_, client):
        assert await client.data(path, stationType="0", **query) == await client.curve(HOUSE, "2024-06-12", 60)
        for missing in query:
            less = {name: value for name, value in query.items() if name != missing}
            assert (await client.ask(path, **less))["code"] == "3010400"
        for change in ({"durationType": "2"}, {"date": "2024"}, {"timeZoneOffset": "x"}):
            assert (await client.ask(path, **query | change))["code"] == "3010400"


async def test_what_a_client_adds_is_no_hindrance() -> None:
    async with portal2() as (_, client, headers):
        headers |= {"Origin": "https://www.sunways-portal.com", "X-Requested-With": "XMLHttpRequest"}
        assert await code2(client, NOW, headers, id=FARM.station_id, distributorCodes="x") == "1000000"
        assert await code2(client, TODAY, headers, TODAY_BODY | {"more": 1}) == "1000000"


async def data2(client: Client, headers: dict[str, str], path: str, body: Any = None, **query: str) -> Any:
    """The data of an answer of generation 2."""
    method = "GET" if body is None else "POST"
    url = f"{client.simulator.url}/monitor/{path}"
    async with client.session.request(method, url, json=body, params=query, headers=headers) as response:
        envelope = await response.json()
    assert envelope["code"] == "1000000"
    return envelope["data"]


async def log_in2(client: Client, email: str) -> dict[str, str]:
    """The headers with which an account asks in generation 2."""
    body = login_of(email, client.simulator.accounts[email].password)
    async with client.session.post(f"{client.simulator.url}/monitor/auth/login", json=body) as response:
        return {"ver": "pc", "token": response.headers["token"]}


async def test_stations_of_generation_2_without_any_parameter() -> None:
    """The first page, of ten."""
    path = "core/power/station/monitoring/getPage"
    async with portal2() as (simulator, client, headers):
        records = (await data2(client, headers, path))["records"]
        assert [(record["id"], record["name"]) for record in records] == [(p.station_id, p.name) for p in PLANTS]
        assert (await data2(client, headers, path, pageNum="2"))["records"] == []
        assert len((await data2(client, headers, path, pageSize="2"))["records"]) == 2
        stations = simulator.accounts["village@example.com"].stations
        stations += [Station(replace(BARN, station_id=str(n))) for n in range(9)]
        assert len((await data2(client, headers, path))["records"]) == 10
        assert len((await data2(client, headers, path, pageNum="2"))["records"]) == 2


@pytest.mark.parametrize("email", ["sunways@example.com", "2312942037@qq.com"])
async def test_plain_numbers_of_generation_2_under_todays_names(email: str) -> None:
    """As the coordinator of sunways-enhanced computes with them."""
    async with portal(email="") as (simulator, client):
        headers = await log_in2(client, email)
        powers = plant_of(HOUSE, simulator.seed).power(NOON)
        now = await data2(client, headers, NOW, id=HOUSE.station_id)
        for name in ("pac", "pLoad", "pmeterTotal", "instatlledPower", "batteryP", "eDay", "eMonth", "eYear", "eTotal"):
            assert type(now[name]) is float
            assert isinstance(now[f"{name}Unit"], str)
        for name in ("soc", "powerRatio", "rssi", "totalBackupPower"):
            assert type(now[name]) in {int, float}
        for flow in ("GridInverter", "InverterGrid", "InverterBattery", "BatteryInverter", "InverterLoad"):
            assert now[f"arrow{flow}"] in {0, 1}
        assert now["soc"] == pytest.approx(powers.soc, abs=0.051)

        devices = await data2(client, headers, f"core/device/getListByStation/{HOUSE.station_id}")
        (inverter,) = [device for device in devices if device["deviceType"] == 2]
        assert inverter["deviceSn"] == HOUSE.inverters[0].serial
        names = ["vpv1", "ipv1", "ppv1", "vgridPhaseA", "soh", "temperature1", "notSupported"]
        points = await data2(client, headers, TODAY, TODAY_BODY | {"iecPath": names})
        assert [point["dataTime"] for point in points] == sorted(point["dataTime"] for point in points)
        newest = {name: value for point in points for name, value in point["data"].items() if value is not None}
        assert set(newest) == set(names) - {"notSupported"}
        assert {type(value) for value in newest.values()} == {float}
        assert newest["ppv1"] * 1000 == pytest.approx(newest["vpv1"] * newest["ipv1"], rel=0.01)


async def test_the_sister_account_has_the_other_names_of_generation_2() -> None:
    async with portal(email="") as (simulator, client):
        headers = await log_in2(client, "sister@example.com")
        powers = plant_of(HOUSE, simulator.seed).power(NOON)
        now = await data2(client, headers, NOW, id=HOUSE.station_id)
        assert now["batteryPOrgion"] == pytest.approx(abs(powers.battery), abs=0.51)
        assert now["totalBackupPowerOrgin"] == pytest.approx(powers.load * 0.15, abs=0.51)
        assert now["instatlledPowerUnit"] == "kWp"
        assert [name for name in now if name.startswith(("batteryP", "totalBackup"))] == [
            "batteryPOrgion",
            "totalBackupPowerOrgin",
        ]
        devices = await data2(client, headers, f"core/device/getListByStation/{HOUSE.station_id}")
        assert [device.get("deviceType") for device in devices] == [None, 1]
        names = ["ppv1", "vpv1", "ipv1", "activePowerA", "invtAP", "batteryP"]
        newest = (await data2(client, headers, TODAY, TODAY_BODY | {"iecPath": names}))[-1]["data"]
        assert newest["ppv1"] == pytest.approx(newest["vpv1"] * newest["ipv1"], abs=2.5)
        assert newest["batteryP"] == pytest.approx(powers.battery, abs=0.51)
        assert (newest["activePowerA"] != 0, newest["invtAP"]) == (True, None)


async def test_a_chart_of_generation_2_takes_a_day_of_its_period() -> None:
    async with portal2() as (_, client, headers):
        for duration, period in (("2", "2024-06"), ("3", "2024"), ("4", "")):
            query = CHART_QUERY | {"durationType": duration}
            rows = await data2(client, headers, CHART, **query | {"date": period})
            assert rows["curve"]
            assert await data2(client, headers, CHART, **query | {"date": "2024-06-01"}) == rows


async def test_rows_of_the_cabin_say_zero_for_what_it_lacks() -> None:
    """In both generations; those of the barn say nothing. Nothing live is there of either."""
    lacking = {"ebuytotal", "eselltotal", "ebatteryDischarge", "ebatteryCharge", "eusetotal"}
    async with portal(email="") as (simulator, client):
        for email, plant, absent in (("cabin@example.com", CABIN, 0.0), ("barn@example.com", BARN, None)):
            await client.log_in(simulator.accounts[email])
            headers = await log_in2(client, email)
            for duration, period in ((2, "2024-06"), (3, "2024"), (4, "")):
                query = CHART_QUERY | {"id": plant.station_id, "durationType": str(duration), "date": period}
                rows = await client.rows(plant, duration, period)
                rows += (await data2(client, headers, CHART, **query))["curve"]
                assert rows
                assert {row[name] for row in rows for name in lacking} == {absent}
                assert all(row["eTotal"] > 0 for row in rows)
            graph = (await client.curve(plant, "2024-06-12"))["eRatioGraph"]
            assert {graph[name] for name in ("eMeterTotalBuy", "eMeterTotalSell", "eUse", "eUseSelf")} == {absent}
            assert set((await client.curve(plant, "2024-06-13"))["eRatioGraph"].values()) == {None}
            assert list((await client.now(plant))["dataNodeMap"]) == ["inputNode"]
            assert 203 not in await client.device(plant.inverters[0].device_id)
            now = await data2(client, headers, NOW, id=plant.station_id)
            assert {now[name] for name in ("soc", "batteryP", "pLoad")} <= {None, "--"}


# The clock and the seed


async def test_without_now_the_clock_is_the_systems(freezer: FrozenDateTimeFactory) -> None:
    freezer.move_to(NOON)
    async with portal(now=None) as (simulator, client):
        assert simulator.clock.now() == NOON
        points = len((await client.curve(HOUSE, "2024-06-12"))["curve"])
        freezer.tick(timedelta(minutes=5))
        assert simulator.clock.now() == NOON + timedelta(minutes=5)
        assert len((await client.curve(HOUSE, "2024-06-12"))["curve"]) == points + 1
        simulator.clock.set(NOON - SHORT)
        freezer.tick(SHORT)
        assert simulator.clock.now() == NOON


async def test_with_now_the_clock_stands_still(freezer: FrozenDateTimeFactory) -> None:
    async with portal() as (simulator, _):
        freezer.tick(SHORT)
        assert simulator.clock.now() == NOON
        simulator.clock.advance(SHORT)
        assert simulator.clock.now() == NOON + SHORT
        with pytest.raises(ValueError, match="no time zone"):
            simulator.clock.set(NOON.replace(tzinfo=None))


async def test_two_simulators_with_one_seed_answer_alike_and_another_seed_differs() -> None:
    answers = []
    for seed in (1, 1, 2):
        async with portal(seed=seed) as (_, client):
            answers.append([await client.now(HOUSE), await client.rows(HOUSE, 2, "2024-05")])
    assert answers[0] == answers[1]
    assert answers[0] != answers[2]


# The script


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
async def test_the_script_prints_its_url_first_and_ends_quietly(ending: signal.Signals, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        "--now",
        "2024-06-12T12:00+02:00",
        "--seed",
        "1",
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    url = (await process.stdout.readline()).decode().strip()
    async with aiohttp.ClientSession() as session:
        body = login_of("family@example.com", "sunshine")
        async with session.post(f"{url}/api/sys/login/manager", json=body) as response:
            envelope = await response.json()
    assert envelope["code"] == "1000000"
    assert envelope["time"].startswith("2024-06-12 10:00:")
    process.send_signal(ending)
    assert (await process.communicate(), process.returncode) == ((b"", b""), 0)


def run_script(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_the_help_lists_every_account() -> None:
    result = run_script("--help")
    lines = result.stdout.splitlines()
    for account in make_accounts().values():
        assert f"{account.email} {account.password} {account.about}" in lines
        assert " " not in account.password
    assert "--port" in result.stdout


@pytest.mark.parametrize(
    "arguments", [["--port", "x"], ["--port", "70000"], ["--now", "soon"], ["--generation", "3"], ["--nonsense"]]
)
def test_the_script_refuses_bad_arguments(arguments: list[str]) -> None:
    result = run_script(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr


async def test_a_port_in_use_is_said_in_one_line() -> None:
    async with portal(email="") as (simulator, _):
        result = await asyncio.to_thread(run_script, "--port", simulator.url.rpartition(":")[2])
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("The simulator cannot listen: ")
        assert result.stderr.count("\n") == 1
