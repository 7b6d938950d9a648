"""Diagnostics and system health: enough to find a bug from one file, and nothing private."""

import json
from typing import Any

from homeassistant.components.system_health import get_info
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_EMAIL, CONF_URL
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.components.diagnostics import (
    get_diagnostics_for_config_entry,
    get_diagnostics_for_device,
)
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.mtec.const import CONF_DIGEST, CONF_GENERATION, CONF_IGNORED_STATIONS, DOMAIN
from custom_components.mtec.models import Inverter, Station
from custom_components.mtec.portal.redaction import Redactor
from custom_components.mtec.portal.request_log import ANSWERS_OF_A_PATH, RequestLog
from tests.conftest import GENERATION2, NOON, VILLAGE, SetUp
from tests.home import add_account, entry_at, reload
from tests.odd_portal import odd_portal, success
from tests.portal_simulator import BARN, FARM, HOUSE, PortalSimulator

DIGEST = "0571749e2ac330a7455809c6b0e7af90"
PRIVATE = [
    VILLAGE,
    "127.0.0.1",
    *(
        private
        for plant in (HOUSE, BARN, FARM)
        for private in (
            plant.station_id,
            plant.station_id[-8:],
            plant.name,
            *(
                text
                for inverter in plant.inverters
                for text in (inverter.serial, inverter.name, inverter.device_id)
                if text
            ),
        )
    ),
]


async def _of_account(hass: HomeAssistant, web: ClientSessionGenerator, entry: MockConfigEntry) -> Any:
    assert await async_setup_component(hass, "diagnostics", {})
    await hass.async_block_till_done()
    return await get_diagnostics_for_config_entry(hass, web, entry)


async def _of_device(hass: HomeAssistant, web: ClientSessionGenerator, entry: MockConfigEntry, identifier: str) -> Any:
    assert await async_setup_component(hass, "diagnostics", {})
    await hass.async_block_till_done()
    device = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, identifier), entry.entry_id)
    assert device is not None
    return await get_diagnostics_for_device(hass, web, entry, device)


async def test_account(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, set_up: SetUp, generation: int
) -> None:
    entry = await set_up()
    found = await _of_account(hass, hass_client, entry)
    text = json.dumps(found, ensure_ascii=False)

    assert not [private for private in (*PRIVATE, entry.data[CONF_DIGEST]) if private in text]
    assert {"token", "title", "name_by_user"}.isdisjoint(found["entry"]["data"])
    assert found["versions"] == {"integration": "0.1.0", "home_assistant": found["versions"]["home_assistant"]}
    assert found["entry"]["data"] == {
        CONF_URL: "portal",
        CONF_EMAIL: "email",
        CONF_DIGEST: "digest",
        CONF_GENERATION: generation,
    }
    assert found["poll"]["generation"] == generation
    assert found["poll"]["interval"] == 60
    assert [station["id"] for station in found["stations"]] == ["station-1", "station-2", "station-3"]
    assert [(inverter["id"], inverter["station"]) for inverter in found["inverters"]] == [
        ("inverter-1", "station-1"),
        ("inverter-2", "station-2"),
        ("inverter-3", "station-3"),
        ("inverter-4", "station-3"),
    ]
    assert found["inverters"][3]["reading"]["strings"].keys() == {"1", "2", "3"}

    session = found["session"]
    # The other generation is tried first.
    assert session["error_counts"] == ({} if generation == 1 else {"ApiVersionChangedError": 1})
    assert len(found["answers"]) == session["requests"] - len(session["last_errors"])
    assert found["rate_limiter"]["requests_last_hour"] == session["requests"]
    assert session["logins"] == 1
    assert session["last_success"] is not None


async def test_raw_answers_can_be_read(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, set_up: SetUp, generation: int
) -> None:
    """Names, types, lengths, and the values that are not private."""
    found = await _of_account(hass, hass_client, await set_up("farm@example.com"))
    answers = {answer["path"].rpartition("/")[2]: answer for answer in found["answers"]}
    if generation == 1:
        assert answers["getRunningOverview"]["data"] == {
            "top10List": [{"stationId": "station-1", "stationName": "name-of-station-1"}]
        }
        house = answers["query"]["data"][0]
        assert house == {
            "deviceId": "id-of-inverter-1",
            "deviceName": "name-of-inverter-1",
            "deviceSn": "inverter-1",
            "deviceType": 2,
            "modelType": "10.0-3P-25A",
        }
        nodes = answers["getSingleStationDataV2"]["data"]["dataNodeMap"]
        assert nodes["inputNode"]["currentDataUnit"] == "kW"
        assert isinstance(nodes["inputNode"]["currentData"], float)
        device = answers["getDeviceDataV3"]["data"]["config"]
        assert [node["labelId"] for node in device] == [202, 206, 502]
        assert device[1]["data"][0]["column1"]["field"] == "Invt_A_P"
        assert device[2]["data"][0]["name"]["value"] == "PV1"
        assert answers["manager"]["data"] == {"token": "str (64 characters)"}
    else:
        assert answers["getPage"]["data"]["records"][0]["id"] == "station-1"
        assert answers["getSingleStationOverview"]["data"]["pmeterTotalUnit"] in {"W", "kW"}
        day = answers["queryRealTimeData"]
        assert day["question"]["deviceSn"] == "inverter-2"
        assert len(day["data"]) == 5
        assert day["data"][2].endswith("more")
        assert isinstance(day["data"][0]["dataTime"], int)
        assert isinstance(day["data"][-1]["data"]["pac"], float | str)


async def test_device(hass: HomeAssistant, hass_client: ClientSessionGenerator, set_up: SetUp, generation: int) -> None:
    """A station with its inverters, or an inverter, with the same stand-ins as in the account's."""
    entry = await set_up()
    station = await _of_device(hass, hass_client, entry, FARM.station_id)
    inverter = await _of_device(hass, hass_client, entry, FARM.inverters[1].serial)

    assert [part["id"] for part in station["stations"]] == ["station-3"]
    assert [part["id"] for part in station["inverters"]] == ["inverter-3", "inverter-4"]
    assert inverter["stations"] == []
    assert [part["id"] for part in inverter["inverters"]] == ["inverter-4"]
    for found, others in ((station, {"1", "2"}), (inverter, {"1", "2", "3"})):
        about = json.dumps([answer["question"] for answer in found["answers"]])
        assert not [other for other in others if f"inverter-{other}" in about]
    assert inverter["answers"]
    assert not [private for private in PRIVATE if private in json.dumps([station, inverter], ensure_ascii=False)]


@GENERATION2
async def test_unit_of_powers_that_come_without_one(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, set_up: SetUp
) -> None:
    """What was found out about each inverter, by its stand-in."""
    entry = await set_up("farm@example.com")
    units = dict(entry.runtime_data.client.power_units)
    assert units.keys() == {inverter.serial for inverter in FARM.inverters}
    found = await _of_account(hass, hass_client, entry)
    assert found["poll"]["power_units"] == {
        f"inverter-{number}": units[inverter.serial] for number, inverter in enumerate(FARM.inverters, start=1)
    }


async def test_stations_that_are_not_followed_are_private_too(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, set_up: SetUp
) -> None:
    entry = await set_up()
    hass.config_entries.async_update_entry(entry, options={CONF_IGNORED_STATIONS: {HOUSE.station_id: HOUSE.name}})
    await reload(hass, entry)
    found = await _of_account(hass, hass_client, entry)
    assert found["entry"]["options"] == {CONF_IGNORED_STATIONS: {"station-3": "name-of-station-3"}}
    assert HOUSE.name not in json.dumps(found, ensure_ascii=False)


async def test_portal_that_is_not_understood(hass: HomeAssistant, hass_client: ClientSessionGenerator) -> None:
    """An account that cannot be set up has diagnostics too, which show what the portal answered."""

    def answer(request: Any) -> dict[str, Any]:
        if "getRunningOverview" in request.path:
            return success({"plants": [{"plantKey": "1641023978845093891", "title": "Haus am See", "watts": 5}]})
        return {"status": "ok", "owner": "Erika Mustermann"}

    async with odd_portal(answer) as portal:
        data = {CONF_URL: portal.url, CONF_EMAIL: "erika@example.com", CONF_DIGEST: DIGEST, CONF_GENERATION: 1}
        entry = entry_at(portal.url, "erika@example.com", data=data)
        assert not await add_account(hass, entry)
        assert entry.state is ConfigEntryState.SETUP_RETRY
        found = await _of_account(hass, hass_client, entry)
    text = json.dumps(found, ensure_ascii=False)
    assert found["poll"]["last_exception"].startswith("UpdateFailed")
    overview = next(each for each in found["answers"] if "getRunningOverview" in each["path"])
    assert overview["data"]["plants"] == [
        {"plantKey": "id-1 (19 characters)", "title": "text-1 (11 characters)", "watts": 5}
    ]
    assert not [private for private in ("erika", "Haus am See", "16410239", DIGEST, "127.0.0.1") if private in text]


async def test_never_set_up(hass: HomeAssistant, hass_client: ClientSessionGenerator) -> None:
    entry = entry_at("http://127.0.0.1:9")
    entry.add_to_hass(hass)
    assert await async_setup_component(hass, "diagnostics", {})
    assert await async_setup_component(hass, DOMAIN, {}) is not None
    found = await _of_account(hass, hass_client, entry)
    assert "127.0.0.1" not in json.dumps(found["entry"])


# What is private


def test_pseudonyms_are_consistent() -> None:
    redactor = Redactor()
    assert redactor.station(Station(id="12345678901", name="Haus")) == "station-1"
    assert redactor.station(Station(id="12345678902", name="Stall")) == "station-2"
    assert redactor.inverter(Inverter(name="12", serial_number="EB123", model=None)) == "inverter-1"
    assert redactor.station(Station(id="12345678901", name="Haus")) == "station-1"
    assert redactor.redact_text("HAUS (12345678902) and EB123") == "name-of-station-1 (station-2) and inverter-1"
    assert redactor.redact_text("Haushalt") == "Haushalt"
    assert redactor.redact_text("12") == "name-of-inverter-1"


@pytest.mark.parametrize(
    "private",
    [
        "write to erika.mustermann@example.com",
        "at 48.137154, 11.576124",
        "token eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9abcdef",
        "digest 0571749e2ac330a7455809c6b0e7af90",
        "station 1641023978845093891",
        "EB083P2304180127 is offline",
        "192.168.178.20",
    ],
)
def test_what_looks_private_is_replaced(private: str) -> None:
    shown = Redactor().redact_text(private)
    assert not [word for word in private.split() if any(map(str.isdigit, word)) and word in shown]
    assert "@" not in shown


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("latitude", 48.1),
        ("lng", "11.5"),
        ("lat", 48),
        ("postcode", "8010"),
        ("zipCode", 83209),
        ("houseNumber", "12 a"),
        ("address", "Seestraße 12"),
        ("city", "Prien"),
        ("phone", "0171 123456"),
        ("mobile", 491711234567),
        ("stationId", 1641023978845093891),
        ("deviceSn", "L45093891"),
        ("userName", "Erika"),
        ("remark", "Erika Mustermann"),
        ("remark", 48.137154),
        ("remark", "48.137154"),
        ("remark", 1.6410239788450938e18),
        ("token", "abc"),
        ("ip", "10.0.0.7"),
        ("wifiSsid", "FRITZ"),
    ],
)
def test_private_value_of_an_answer(key: str, value: Any) -> None:
    shown = Redactor().redact_answer({key: value})
    assert shown.keys() == {key}
    assert str(value) not in str(shown[key])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("currentData", 3.214),
        ("currentData", "51.2 V"),
        ("otherData", " 0.0"),
        ("currentDataUnit", "kWh"),
        ("unit", "℃"),
        ("field", "Vgrid_PhaseA"),
        ("modelType", "8.0-3P-25A"),
        ("stationStatusTip", "Running"),
        ("labelId", 206),
        ("dateStamp", 1781517600000),
        ("dataTime", "1781517600000"),
        ("date", "2026-06-15 12:00:00"),
        ("value", "--"),
        ("value", ""),
        ("value", None),
        ("value", True),
        ("value", "PV1"),
        ("stationId", None),
    ],
)
def test_harmless_value_of_an_answer(key: str, value: Any) -> None:
    assert Redactor().redact_answer({key: value}) == {key: value}


def test_value_of_a_field_that_is_private() -> None:
    assert Redactor().redact_answer([{"field": "Latitude", "value": 48.1}]) == [
        {"field": "Latitude", "value": "id-1 (float)"}
    ]


def test_ids_as_names() -> None:
    redactor = Redactor()
    redactor.station(Station(id="1641023978845093891", name="Haus"))
    assert redactor.redact_answer({"1641023978845093891": {"pac": 1}, "EB083P2304180127": 2}) == {
        "station-1": {"pac": 1},
        "id-1": 2,
    }


# What is kept


def test_request_log_is_small() -> None:
    log = RequestLog()
    for number in range(100):
        log.record_answer("chart", {"date": number}, {"curve": [{"power": row} for row in range(288)]})
    assert len(log.answers) == ANSWERS_OF_A_PATH
    assert len(log.answers[-1].data["curve"]) == 5
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    log.record_answer("deep", None, deep)
    log.record_answer("long", None, "x" * 10_000)
    assert len(str(log.answers)) < 30_000


# System health


async def test_system_health(hass: HomeAssistant, set_up: SetUp, simulator: PortalSimulator) -> None:
    assert await async_setup_component(hass, "system_health", {})
    await set_up("family@example.com")
    info: Any = (await get_info(hass))[DOMAIN]
    assert info["can_reach_portal"] == "ok"
    assert info["requests_last_hour"] == len([call for call in simulator.requests if call.path != "/"])
    assert info["last_success"] > NOON.isoformat()[:4]

    await set_up("farm@example.com")
    assert len((await get_info(hass))[DOMAIN]["last_success"].split(", ")) == 2


async def test_system_health_without_portal(hass: HomeAssistant) -> None:
    assert await async_setup_component(hass, "system_health", {})
    assert not await add_account(hass, entry_at("http://127.0.0.1:1"))
    info: Any = (await get_info(hass))[DOMAIN]
    assert info == {"can_reach_portal": "Failed: unreachable", "last_success": "-", "requests_last_hour": 1}


@GENERATION2
@pytest.mark.parametrize(("email", "unit"), [("sister@example.com", "W"), ("family@example.com", "kW")])
async def test_unit_of_powers_is_shown(
    hass: HomeAssistant,
    simulator: PortalSimulator,
    hass_client: ClientSessionGenerator,
    set_up: SetUp,
    email: str,
    unit: str,
) -> None:
    """What volts times amperes of a string have told, by inverter."""
    found = await _of_account(hass, hass_client, await set_up(email))
    assert found["poll"]["power_units"] == {"inverter-1": unit}
