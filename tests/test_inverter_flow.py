"""Setting up inverters in the network, as a person would, against simulated inverters."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
import socket
from typing import Any

from homeassistant.components.modbus import async_get_temporary_unit, async_get_unit
from homeassistant.config_entries import (
    SOURCE_DHCP,
    SOURCE_RECONFIGURE,
    SOURCE_USER,
    ConfigEntry,
    ConfigEntryState,
    ConfigFlowResult,
    ConfigSubentry,
    ConfigSubentryData,
    SubentryFlowResult,
)
from homeassistant.const import (
    CONF_EMAIL,
    CONF_HOST,
    CONF_MODEL,
    CONF_PASSWORD,
    CONF_PORT,
    CONF_SCAN_INTERVAL,
    CONF_URL,
)
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType, InvalidData
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.service_info.dhcp import DhcpServiceInfo
from homeassistant.util import dt as dt_util
from modbus_connection import ModbusSerialParams
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.mtec import inverter_flow, inverter_search
from custom_components.mtec.config_flow import SECTION_PORTAL
from custom_components.mtec.const import (
    CONF_FIRMWARE,
    CONF_FRAMING,
    CONF_GENERATION,
    CONF_IGNORED_STATIONS,
    CONF_RATED_POWER,
    CONF_RELEASE,
    CONF_SERIAL_NUMBER,
    CONF_SETTINGS,
    CONF_UNIT_ID,
    DOMAIN,
    SUBENTRY_INVERTER,
)
from custom_components.mtec.discovery import LEFT_ALONE_FOR
from custom_components.mtec.inverter_flow import SECTION_ADVANCED
from custom_components.mtec.local.exchange import Timing
from custom_components.mtec.local.link import Framing, Link, links
from tests.conftest import FAMILY, GENERATION1, NOON, SetUp
from tests.dialogs import Loads
from tests.inverter_simulator import InverterSimulator
from tests.portal_simulator import BARN, HOUSE, PortalSimulator

SERIAL = HOUSE.inverters[0].serial
OTHER = BARN.inverters[0].serial
MAC = "a0b1c2d3e4f5"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less for an answer that does not come, and not for a device that is there."""
    monkeypatch.setattr(inverter_flow, "SETTLING_TIME", 0.0)
    monkeypatch.setattr(inverter_search, "TIMING", Timing(timeout=1.0, spacing=0.0))


@pytest.fixture
async def inverter() -> AsyncGenerator[InverterSimulator]:
    """The house's inverter."""
    async with InverterSimulator(now=NOON) as simulator:
        yield simulator


def free_port() -> int:
    """Return a port at which nobody listens."""
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


type Answer = Callable[[bytes], bytes]


def refuse(request: bytes) -> bytes:
    """Refuse a request in Modbus/TCP, as whatever device does that lacks a register."""
    return request[:4] + b"\x00\x03" + request[6:7] + b"\x83\x02"


def zeros(request: bytes) -> bytes:
    """Answer a request in Modbus/TCP with zeros."""
    count = 2 * request[11]
    return request[:4] + bytes([0, count + 3]) + request[6:8] + bytes([count]) + bytes(count)


@asynccontextmanager
async def something(answer: Answer) -> AsyncGenerator[int]:
    """Serve something that is no inverter. Provide its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(1024):
            # Those with frames of the other kind are not answered.
            if request[2:4] == b"\x00\x00":
                writer.write(answer(request))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def stored(inverter: InverterSimulator, **changes: Any) -> dict[str, Any]:
    """Return what is stored of an inverter that has just been added."""
    return {
        CONF_HOST: "127.0.0.1",
        CONF_PORT: inverter.port,
        CONF_FRAMING: "rtu",
        CONF_UNIT_ID: 252,
        CONF_SERIAL_NUMBER: inverter.serial_number,
        CONF_MODEL: "8K-25",
        CONF_FIRMWARE: "V1.0.0.1-V27.52.4.0",
        CONF_RATED_POWER: 8000.0,
        CONF_SCAN_INTERVAL: 10,
        CONF_RELEASE: False,
    } | changes


def address(inverter: InverterSimulator, **advanced: Any) -> dict[str, Any]:
    """Return what a person types in, with the port, as the simulator cannot have the usual one."""
    return {CONF_HOST: inverter.host, SECTION_ADVANCED: {CONF_PORT: inverter.port, **advanced}}


async def search(hass: HomeAssistant, user_input: dict[str, Any]) -> ConfigFlowResult:
    """Open the dialog, choose the inverter in the network, and say where it is."""
    menu = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})
    form = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": "inverter"})
    assert form["type"] is FlowResultType.FORM
    assert form["step_id"] == "inverter"
    return await hass.config_entries.flow.async_configure(form["flow_id"], user_input)


async def confirm(hass: HomeAssistant, form: ConfigFlowResult) -> ConfigFlowResult:
    """Confirm what was found."""
    assert form["type"] is FlowResultType.FORM, form
    result = await hass.config_entries.flow.async_configure(form["flow_id"], {})
    await hass.async_block_till_done(wait_background_tasks=True)
    return result


def subentry_of(result: ConfigFlowResult) -> ConfigSubentryData:
    """Return the only subentry of a home that is created."""
    [subentry] = result["subentries"]
    return subentry


async def set_up_inverter(hass: HomeAssistant, inverter: InverterSimulator) -> ConfigEntry:
    """Set up a home that begins with an inverter."""
    result = await confirm(hass, await search(hass, address(inverter)))
    assert result["type"] is FlowResultType.CREATE_ENTRY
    entry: ConfigEntry = result["result"]
    return entry


async def add(hass: HomeAssistant, entry: ConfigEntry, user_input: dict[str, Any]) -> SubentryFlowResult:
    """Open the dialog that adds an inverter to a home, and say where it is."""
    form = await hass.config_entries.subentries.async_init(
        (entry.entry_id, SUBENTRY_INVERTER), context={"source": SOURCE_USER}
    )
    assert form["step_id"] == "user"
    return await hass.config_entries.subentries.async_configure(form["flow_id"], user_input)


async def add_and_confirm(hass: HomeAssistant, entry: ConfigEntry, inverter: InverterSimulator) -> ConfigSubentry:
    """Add an inverter to a home."""
    form = await add(hass, entry, address(inverter))
    assert form["step_id"] == "confirm"
    result = await hass.config_entries.subentries.async_configure(form["flow_id"], {})
    await hass.async_block_till_done(wait_background_tasks=True)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    return next(each for each in entry.subentries.values() if each.unique_id == inverter.serial_number)


async def change(hass: HomeAssistant, entry: ConfigEntry, subentry: ConfigSubentry) -> SubentryFlowResult:
    """Open the dialog that changes an inverter."""
    return await hass.config_entries.subentries.async_init(
        (entry.entry_id, SUBENTRY_INVERTER),
        context={"source": SOURCE_RECONFIGURE, "subentry_id": subentry.subentry_id},
    )


async def submit_change(hass: HomeAssistant, form: SubentryFlowResult, **fields: Any) -> SubentryFlowResult:
    """Change the fields of an inverter's dialog that are given, and submit it."""
    assert form["data_schema"] is not None
    shown = suggested(form["data_schema"].schema)
    advanced = shown[SECTION_ADVANCED]
    shown[SECTION_ADVANCED] = {name: value for name, value in advanced.items() if value is not None}
    result = await hass.config_entries.subentries.async_configure(form["flow_id"], shown | fields)
    await hass.async_block_till_done(wait_background_tasks=True)
    return result


def suggested(schema: Any) -> dict[str, Any]:
    """Return what a form shows in its fields."""
    return {
        str(key): suggested(field.schema.schema)
        if str(key) == SECTION_ADVANCED
        else (key.description or {}).get("suggested_value")
        for key, field in schema.items()
    }


# A home that begins with an inverter


async def test_inverter_is_shown_before_anything_is_created(hass: HomeAssistant, inverter: InverterSimulator) -> None:
    form = await search(hass, address(inverter))
    assert form["step_id"] == "inverter_confirm"
    assert form["description_placeholders"] == {
        "host": "127.0.0.1",
        "serial_number": SERIAL,
        "model": "8K-25",
        "firmware": "V1.0.0.1-V27.52.4.0",
    }
    assert hass.config_entries.async_entries(DOMAIN) == []

    result = await confirm(hass, form)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    # Home Assistant logs titles.
    assert result["title"] == "M-TEC 8K-25"
    [entry] = hass.config_entries.async_entries(DOMAIN)
    assert entry.data == {}
    assert entry.unique_id == SERIAL
    [subentry] = entry.subentries.values()
    assert (subentry.subentry_type, subentry.unique_id) == (SUBENTRY_INVERTER, SERIAL)
    assert subentry.title == f"8K-25 {SERIAL}"
    assert subentry.data == stored(inverter)
    assert entry.state is ConfigEntryState.LOADED
    # Nothing to import the history of, and no settings of an account.
    assert "next_flow" not in result
    options = await hass.config_entries.options.async_init(entry.entry_id)
    assert options["menu_options"] == ["mqtt"]


async def test_history_is_not_offered_without_an_account(hass: HomeAssistant, inverter: InverterSimulator) -> None:
    form = await search(hass, address(inverter))
    # With a recorder there would be something to import into.
    hass.config.components.add("recorder")
    result = await confirm(hass, form)
    hass.config.components.remove("recorder")
    assert result["result"].state is ConfigEntryState.LOADED
    assert "next_flow" not in result


async def test_model_and_firmware_that_an_inverter_does_not_say(
    hass: HomeAssistant, inverter: InverterSimulator
) -> None:
    inverter.unknown, inverter.lacking = "refuse", {10008, 10011}
    form = await search(hass, address(inverter))
    assert form["description_placeholders"] is not None
    assert {form["description_placeholders"][name] for name in ("model", "firmware")} == {"?"}
    result = await confirm(hass, form)
    assert result["title"] == "M-TEC"
    assert subentry_of(result)["data"][CONF_MODEL] is None
    assert subentry_of(result)["title"] == SERIAL


async def test_second_home_has_another_title(hass: HomeAssistant, inverter: InverterSimulator) -> None:
    async with InverterSimulator(serial_number="EB083P2304180999", now=NOON) as second:
        titles = [(await set_up_inverter(hass, each)).title for each in (inverter, second)]
    assert titles == ["M-TEC 8K-25", "M-TEC 8K-25 (2)"]


@pytest.mark.parametrize(
    ("framing", "unit", "advanced"),
    [
        ("rtu", 252, {}),
        ("rtu", 252, {CONF_FRAMING: "rtu", CONF_UNIT_ID: 252}),
        ("rtu", 7, {CONF_UNIT_ID: 7}),
        ("tcp", 255, {}),
        ("tcp", 247, {}),
        ("tcp", 255, {CONF_FRAMING: "tcp"}),
        ("tcp", 3, {CONF_FRAMING: "tcp", CONF_UNIT_ID: 3}),
    ],
)
async def test_framing_and_unit_are_found_or_given(
    hass: HomeAssistant, framing: Any, unit: int, advanced: dict[str, Any]
) -> None:
    async with InverterSimulator(now=NOON, framing=framing, unit=unit) as inverter:
        result = await confirm(hass, await search(hass, address(inverter, **advanced)))
        data = subentry_of(result)["data"]
        assert (data[CONF_FRAMING], data[CONF_UNIT_ID], data[CONF_PORT]) == (framing, unit, inverter.port)


async def test_ports_are_tried_in_order(
    hass: HomeAssistant, inverter: InverterSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual ports cannot be opened in a test: two others stand for them."""
    monkeypatch.setattr(
        "custom_components.mtec.local.link.LINKS",
        tuple(Link(port=port, framing=Framing.RTU, unit_id=252) for port in (free_port(), inverter.port)),
    )
    form = await search(hass, {CONF_HOST: "127.0.0.1", SECTION_ADVANCED: {}})
    assert form["step_id"] == "inverter_confirm"


@pytest.mark.parametrize("typed", [" LocalHost. ", "localhost"])
async def test_host_is_stored_as_it_is_compared(hass: HomeAssistant, inverter: InverterSimulator, typed: str) -> None:
    result = await confirm(hass, await search(hass, address(inverter) | {CONF_HOST: typed}))
    assert subentry_of(result)["data"][CONF_HOST] == "localhost"


# Failures


def is_advanced_open(form: ConfigFlowResult) -> bool:
    """Return whether the section Advanced is open."""
    assert form["data_schema"] is not None
    collapsed: bool = form["data_schema"].schema[SECTION_ADVANCED].options["collapsed"]
    return not collapsed


@pytest.mark.parametrize(
    "host", ["", " ", "http://192.168.1.50", "192.168.1.50:502", "192.168.1", "inverter/1", "-a", "[::1"]
)
async def test_bad_host(hass: HomeAssistant, host: str) -> None:
    result = await search(hass, {CONF_HOST: host, SECTION_ADVANCED: {}})
    assert result["errors"] == {CONF_HOST: "invalid_host"}
    assert not is_advanced_open(result)


async def test_nothing_answers_there(hass: HomeAssistant, inverter: InverterSimulator) -> None:
    """The same dialog goes on once it is mended."""
    form = await search(hass, {CONF_HOST: "127.0.0.1", SECTION_ADVANCED: {CONF_PORT: free_port()}})
    assert form["errors"] == {"base": "no_answer"}
    assert is_advanced_open(form)
    form = await hass.config_entries.flow.async_configure(form["flow_id"], address(inverter))
    assert form["step_id"] == "inverter_confirm"


async def test_form_keeps_what_was_typed(hass: HomeAssistant) -> None:
    form = await search(hass, {CONF_HOST: "a b", SECTION_ADVANCED: {CONF_PORT: 5743, CONF_FRAMING: "tcp"}})
    assert form["data_schema"] is not None
    shown = suggested(form["data_schema"].schema)
    assert shown == {
        CONF_HOST: "a b",
        SECTION_ADVANCED: {CONF_PORT: 5743, CONF_FRAMING: "tcp", CONF_UNIT_ID: None},
    }


async def test_silence(hass: HomeAssistant, inverter: InverterSimulator) -> None:
    inverter.faults.add("silence")
    result = await search(hass, address(inverter, **{CONF_FRAMING: "rtu"}))
    assert result["errors"] == {"base": "no_answer"}


@pytest.mark.parametrize("answer", [refuse, zeros])
async def test_something_else_answers_there(hass: HomeAssistant, answer: Answer) -> None:
    async with something(answer) as port:
        result = await search(hass, {CONF_HOST: "127.0.0.1", SECTION_ADVANCED: {CONF_PORT: port}})
    assert result["errors"] == {"base": "not_an_inverter"}


async def test_another_kind_of_device_with_modbus(hass: HomeAssistant, inverter: InverterSimulator) -> None:
    inverter.raw = dict.fromkeys(range(10000, 10008), 0)
    result = await search(hass, address(inverter, **{CONF_FRAMING: "rtu"}))
    assert result["errors"] == {"base": "not_an_inverter"}


async def test_another_client_holds_the_connection(hass: HomeAssistant, inverter: InverterSimulator) -> None:
    _, writer = await asyncio.open_connection(inverter.host, inverter.port)
    await asyncio.sleep(0.05)
    form = await search(hass, address(inverter))
    assert form["errors"] == {"base": "connection_held"}
    writer.close()
    await writer.wait_closed()
    form = await hass.config_entries.flow.async_configure(form["flow_id"], address(inverter))
    assert form["step_id"] == "inverter_confirm"


@pytest.mark.parametrize("is_connected", [False, True])
async def test_another_integration_uses_the_address_with_other_settings(
    hass: HomeAssistant, inverter: InverterSimulator, is_connected: bool
) -> None:
    other = ModbusSerialParams(device=f"socket://127.0.0.1:{inverter.port}", framer="rtu", baudrate=9600)
    async with async_get_temporary_unit(hass, other, 252) as unit:
        if is_connected:
            await unit.read_holding_registers(10000, 8)
        form = await search(hass, address(inverter))
        assert form["errors"] == {SECTION_ADVANCED: "address_in_use"}
        assert is_advanced_open(form)
    form = await hass.config_entries.flow.async_configure(form["flow_id"], address(inverter))
    assert form["step_id"] == "inverter_confirm"


async def test_address_is_shared_with_an_integration_that_uses_the_same_settings(
    hass: HomeAssistant, inverter: InverterSimulator
) -> None:
    same = links(inverter.port)[0].params("127.0.0.1")
    async with async_get_temporary_unit(hass, same, 252) as unit:
        await unit.read_holding_registers(10000, 8)
        form = await search(hass, address(inverter))
    assert form["step_id"] == "inverter_confirm"
    assert inverter.connections == 1


async def test_second_hardware_generation(hass: HomeAssistant, inverter: InverterSimulator) -> None:
    inverter.unknown, inverter.lacking = "refuse", set(range(30254, 30260))
    result = await search(hass, address(inverter))
    assert result["errors"] == {"base": "unsupported_hardware"}


# Twice


async def test_same_inverter_twice_takes_over_the_address(hass: HomeAssistant, inverter: InverterSimulator) -> None:
    entry = await set_up_inverter(hass, inverter)
    async with InverterSimulator(now=NOON, framing="tcp") as moved:
        result = await search(hass, address(moved))
        assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "inverter_already_configured")
        await hass.async_block_till_done(wait_background_tasks=True)
    [subentry] = entry.subentries.values()
    assert subentry.data == stored(moved, **{CONF_FRAMING: "tcp", CONF_UNIT_ID: 255})


async def test_inverter_of_an_account_is_added_to_its_home(
    hass: HomeAssistant, inverter: InverterSimulator, set_up: SetUp
) -> None:
    """Two homes cannot have the same devices and entities."""
    entry = await set_up(FAMILY)
    entities = registered(hass, entry)
    loads = Loads(entry)
    form = await search(hass, address(inverter))
    assert form["step_id"] == "inverter_home"
    assert form["description_placeholders"] is not None
    assert form["description_placeholders"]["home"] == entry.title
    assert not entry.subentries

    result = await confirm(hass, form)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "inverter_added")
    [subentry] = entry.subentries.values()
    assert subentry.data == stored(inverter)
    assert hass.config_entries.async_entries(DOMAIN) == [entry]
    assert (loads.count, entry.state) == (1, ConfigEntryState.LOADED)
    assert entities.items() <= registered(hass, entry).items()


async def test_home_that_is_deleted_before_its_inverter_is_added(
    hass: HomeAssistant, inverter: InverterSimulator, set_up: SetUp
) -> None:
    entry = await set_up(FAMILY)
    form = await search(hass, address(inverter))
    await hass.config_entries.async_remove(entry.entry_id)
    form = await confirm(hass, form)
    assert form["step_id"] == "inverter_confirm"
    assert (await confirm(hass, form))["type"] is FlowResultType.CREATE_ENTRY


def registered(hass: HomeAssistant, entry: ConfigEntry) -> dict[str, str]:
    """Return the entity ids of a home by unique id."""
    entities = er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    return {each.unique_id: each.entity_id for each in entities}


# Inverters of a home


@GENERATION1
async def test_add_change_and_remove_an_inverter_reload_the_home(
    hass: HomeAssistant, inverter: InverterSimulator, set_up: SetUp
) -> None:
    entry = await set_up(FAMILY)
    loads = Loads(entry)
    subentry = await add_and_confirm(hass, entry, inverter)
    assert subentry.title == f"8K-25 {SERIAL}"
    assert subentry.data == stored(inverter)
    assert loads.count == 1

    form = await change(hass, entry, subentry)
    assert form["description_placeholders"] == {"name": subentry.title}
    result = await submit_change(hass, form, **{CONF_SCAN_INTERVAL: 30, CONF_RELEASE: True})
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    assert subentry.data == stored(inverter, **{CONF_SCAN_INTERVAL: 30, CONF_RELEASE: True, CONF_SETTINGS: False})
    assert loads.count == 2

    assert hass.config_entries.async_remove_subentry(entry, subentry.subentry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert (loads.count, entry.state) == (3, ConfigEntryState.LOADED)


@GENERATION1
async def test_only_options_and_inverters_reload_a_home(
    hass: HomeAssistant, inverter: InverterSimulator, set_up: SetUp
) -> None:
    """The account stores the version of the portal's API by itself, and a title is only a title."""
    entry = await set_up(FAMILY)
    subentry = await add_and_confirm(hass, entry, inverter)
    loads = Loads(entry)
    update = hass.config_entries.async_update_entry
    assert update(entry, data={**entry.data, CONF_GENERATION: 2})
    assert update(entry, title="Home")
    assert hass.config_entries.async_update_subentry(entry, subentry, title="Inverter")
    await hass.async_block_till_done(wait_background_tasks=True)
    assert loads.count == 0
    assert update(entry, options={CONF_SCAN_INTERVAL: 90, CONF_IGNORED_STATIONS: {}})
    await hass.async_block_till_done(wait_background_tasks=True)
    assert (loads.count, entry.state) == (1, ConfigEntryState.LOADED)


@GENERATION1
async def test_changes_to_a_home_whose_set_up_failed_try_again(
    hass: HomeAssistant, simulator: PortalSimulator, inverter: InverterSimulator, set_up: SetUp
) -> None:
    """It listens to no changes then."""
    simulator.faults.add("reset")
    entry = await set_up(FAMILY, ConfigEntryState.SETUP_RETRY)
    subentry = ConfigSubentry(
        data=stored(inverter),  # type: ignore[arg-type]
        subentry_type=SUBENTRY_INVERTER,
        title=SERIAL,
        unique_id=SERIAL,
    )
    hass.config_entries.async_add_subentry(entry, subentry)
    simulator.faults.clear()
    await submit_change(hass, await change(hass, entry, subentry), **{CONF_SCAN_INTERVAL: 30})
    assert entry.state is ConfigEntryState.LOADED


async def test_add_an_inverter_that_is_set_up(hass: HomeAssistant, inverter: InverterSimulator) -> None:
    entry = await set_up_inverter(hass, inverter)
    result = await add(hass, entry, address(inverter))
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "inverter_already_configured")


@GENERATION1
async def test_add_an_inverter_of_another_home(hass: HomeAssistant, inverter: InverterSimulator, set_up: SetUp) -> None:
    owner = await set_up(FAMILY)
    async with InverterSimulator(BARN, now=NOON) as other:
        entry = await set_up_inverter(hass, other)
    result = await add(hass, entry, address(inverter))
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "other_home")
    assert result["description_placeholders"] == {"home": owner.title}
    assert len(entry.subentries) == 1


async def test_failures_when_an_inverter_is_added(hass: HomeAssistant, inverter: InverterSimulator) -> None:
    entry = await set_up_inverter(hass, inverter)
    form = await add(hass, entry, {CONF_HOST: "http://inverter", SECTION_ADVANCED: {}})
    assert form["errors"] == {CONF_HOST: "invalid_host"}
    async with InverterSimulator(BARN, now=NOON) as other:
        other.faults.add("occupied")
        form = await hass.config_entries.subentries.async_configure(form["flow_id"], address(other))
        assert form["errors"] == {"base": "connection_held"}
        other.faults.clear()
        form = await hass.config_entries.subentries.async_configure(form["flow_id"], address(other))
    assert form["step_id"] == "confirm"


async def test_move_an_inverter(hass: HomeAssistant, inverter: InverterSimulator) -> None:
    """The dialog shows what is stored; only the same inverter is taken at another address."""
    entry = await set_up_inverter(hass, inverter)
    [subentry] = entry.subentries.values()
    form = await change(hass, entry, subentry)
    assert form["data_schema"] is not None
    assert suggested(form["data_schema"].schema) == {
        CONF_SCAN_INTERVAL: 10,
        CONF_RELEASE: False,
        CONF_SETTINGS: None,
        CONF_HOST: "127.0.0.1",
        SECTION_ADVANCED: {CONF_PORT: inverter.port, CONF_FRAMING: "rtu", CONF_UNIT_ID: 252},
    }
    async with (
        InverterSimulator(BARN, now=NOON) as other,
        InverterSimulator(now=NOON, framing="tcp") as moved,
    ):
        moved.firmware = bytes([1, 0, 0, 1, 27, 53, 0, 0])
        form = await submit_change(hass, form, **address(other))
        assert form["errors"] == {"base": "other_inverter"}
        assert subentry.data == stored(inverter)
        form = await submit_change(hass, form, **{CONF_HOST: "a/b"})
        assert form["errors"] == {CONF_HOST: "invalid_host"}
        result = await submit_change(hass, form, **address(moved))
        assert result["reason"] == "reconfigure_successful"
    changes = {
        CONF_FRAMING: "tcp",
        CONF_UNIT_ID: 255,
        CONF_FIRMWARE: "V1.0.0.1-V27.53.0.0",
        CONF_SETTINGS: False,
    }
    assert subentry.data == stored(moved, **changes)


async def test_settings_of_an_inverter_that_does_not_answer(hass: HomeAssistant, inverter: InverterSimulator) -> None:
    """It need not, as long as its address stays."""
    entry = await set_up_inverter(hass, inverter)
    await inverter.stop()
    [subentry] = entry.subentries.values()
    form = await change(hass, entry, subentry)
    for wrong in (4, 301):
        with pytest.raises(InvalidData):
            await submit_change(hass, form, **{CONF_SCAN_INTERVAL: wrong})
    for interval in (5, 300):
        form = await change(hass, entry, subentry)
        result = await submit_change(hass, form, **{CONF_SCAN_INTERVAL: interval})
        assert result["reason"] == "reconfigure_successful"
        assert subentry.data[CONF_SCAN_INTERVAL] == interval


@GENERATION1
async def test_inverter_whose_connection_the_home_itself_holds(
    hass: HomeAssistant, inverter: InverterSimulator, set_up: SetUp
) -> None:
    """A host name instead of the address is another connection, but the inverter has one client at a time."""
    entry = await set_up(FAMILY)
    subentry = await add_and_confirm(hass, entry, inverter)
    async with InverterSimulator(BARN, now=NOON) as other:
        for host, port, expected in (("localhost", other.port, "other_inverter"), ("localhost", inverter.port, None)):
            for each in (inverter, other):
                held = async_get_unit(hass, entry, links(each.port)[0].params("127.0.0.1"), 252)
                await held.read_holding_registers(10000, 8)
            loads = Loads(entry)
            form = await change(hass, entry, subentry)
            result = await submit_change(hass, form, **{CONF_HOST: host, SECTION_ADVANCED: {CONF_PORT: port}})
            assert (result.get("errors") or {}).get("base") == expected
            assert (loads.count, entry.state) == (1, ConfigEntryState.LOADED)
    assert subentry.data == stored(inverter, **{CONF_HOST: "localhost", CONF_SETTINGS: False})


# An account for a home that began without one


async def sign_in(hass: HomeAssistant, form: ConfigFlowResult, url: str, password: str) -> ConfigFlowResult:
    """Fill in the form of an account."""
    assert form["step_id"] == "account"
    fields = {CONF_EMAIL: FAMILY, CONF_PASSWORD: password, SECTION_PORTAL: {CONF_URL: url}}
    result = await hass.config_entries.flow.async_configure(form["flow_id"], fields)
    await hass.async_block_till_done(wait_background_tasks=True)
    return result


@pytest.mark.parametrize("way", [SOURCE_RECONFIGURE, SOURCE_USER])
async def test_account_is_added_to_a_home_that_began_without_one(
    hass: HomeAssistant, simulator: PortalSimulator, inverter: InverterSimulator, generation: int, way: str
) -> None:
    """By the home's own dialog, or because the account has the home's inverter."""
    entry = await set_up_inverter(hass, inverter)
    before = registered(hass, entry)
    if way == SOURCE_RECONFIGURE:
        form = await hass.config_entries.flow.async_init(
            DOMAIN, context={"source": SOURCE_RECONFIGURE, "entry_id": entry.entry_id}
        )
    else:
        menu = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})
        form = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": "account"})
    form = await sign_in(hass, form, simulator.url, "wrong")
    assert form["errors"] == {"base": "invalid_auth"}
    assert entry.data == {}
    result = await sign_in(hass, form, simulator.url, "sunshine")

    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "account_added")
    assert hass.config_entries.async_entries(DOMAIN) == [entry]
    assert (entry.data[CONF_URL], entry.data[CONF_EMAIL]) == (simulator.url, FAMILY)
    assert entry.data[CONF_GENERATION] == generation
    assert entry.unique_id == f"{simulator.url.removeprefix('http://')}_{FAMILY}"
    assert entry.title == "M-TEC 8K-25"
    [subentry] = entry.subentries.values()
    assert subentry.data == stored(inverter)
    assert entry.state is ConfigEntryState.LOADED
    assert hass.states.get("sensor.haus_am_see_pv_power") is not None
    assert before.items() <= registered(hass, entry).items()


@GENERATION1
async def test_account_of_another_plant_gets_a_home_of_its_own(hass: HomeAssistant, simulator: PortalSimulator) -> None:
    async with InverterSimulator(BARN, now=NOON) as other:
        entry = await set_up_inverter(hass, other)
        menu = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})
        form = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": "account"})
        result = await sign_in(hass, form, simulator.url, "sunshine")
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert entry.data == {}


@GENERATION1
async def test_account_of_another_home_is_not_added(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp
) -> None:
    await set_up(FAMILY)
    async with InverterSimulator(BARN, now=NOON) as other:
        entry = await set_up_inverter(hass, other)
        form = await hass.config_entries.flow.async_init(
            DOMAIN, context={"source": SOURCE_RECONFIGURE, "entry_id": entry.entry_id}
        )
        result = await sign_in(hass, form, simulator.url, "sunshine")
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")
    assert entry.data == {}


# Discovery


@pytest.fixture
def usual_port(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let another port be the usual one, which cannot be opened in a test."""

    def be_usual(port: int) -> None:
        monkeypatch.setattr(inverter_flow, "LINKS", links(port))

    return be_usual


async def discover(hass: HomeAssistant, *, ip: str = "127.0.0.1", mac: str = MAC) -> ConfigFlowResult:
    """Let a device ask for an address."""
    result = await hass.config_entries.flow.async_init(
        DOMAIN,
        context={"source": SOURCE_DHCP},
        data=DhcpServiceInfo(ip=ip, hostname="espressif", macaddress=mac),
    )
    await hass.async_block_till_done(wait_background_tasks=True)
    return result


async def test_inverter_is_discovered(
    hass: HomeAssistant, inverter: InverterSimulator, usual_port: Callable[[int], None]
) -> None:
    usual_port(inverter.port)
    form = await discover(hass)
    assert form["step_id"] == "inverter_confirm"
    assert form["description_placeholders"] is not None
    assert form["description_placeholders"]["serial_number"] == SERIAL
    [flow] = hass.config_entries.flow.async_progress()
    assert flow["context"]["title_placeholders"] == {"name": f"8K-25 {SERIAL}"}
    requests = len(inverter.requests)
    assert (await discover(hass))["reason"] == "already_in_progress"
    assert len(inverter.requests) == requests

    result = await confirm(hass, form)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert subentry_of(result)["data"] == stored(inverter)


async def test_device_that_has_just_asked_for_an_address_gets_time(
    hass: HomeAssistant,
    inverter: InverterSimulator,
    usual_port: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inverter_flow, "SETTLING_TIME", 0.6)
    usual_port(inverter.port)
    await inverter.stop()
    discovery = asyncio.create_task(discover(hass))
    await asyncio.sleep(0.2)
    assert (await discover(hass))["reason"] == "already_in_progress"
    await inverter.start()
    assert (await discovery)["step_id"] == "inverter_confirm"


@GENERATION1
async def test_discovered_inverter_that_was_added_in_the_meantime(
    hass: HomeAssistant, inverter: InverterSimulator, set_up: SetUp, usual_port: Callable[[int], None]
) -> None:
    entry = await set_up("barn@example.com")
    usual_port(inverter.port)
    form = await discover(hass)
    assert form["step_id"] == "inverter_confirm"
    await add_and_confirm(hass, entry, inverter)
    assert (await confirm(hass, form))["reason"] == "inverter_already_configured"
    assert hass.config_entries.async_entries(DOMAIN) == [entry]


async def test_other_devices_are_never_shown_and_probed_once_a_day(
    hass: HomeAssistant,
    inverter: InverterSimulator,
    usual_port: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also after a restart; at another address, it may be another device with a forged MAC address."""
    inverter.raw = dict.fromkeys(range(10000, 10008), 0)
    usual_port(inverter.port)
    clock = dt_util.utcnow()
    monkeypatch.setattr(dt_util, "utcnow", lambda: clock)

    async def is_probed(**device: str) -> bool:
        before = inverter.connections
        result = await discover(hass, **device)
        assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "not_an_inverter")
        return inverter.connections > before

    assert await is_probed()
    assert not await is_probed()
    assert await is_probed(mac="a0b1c2d3e4f6")
    # As after a restart.
    hass.data.pop(f"{DOMAIN}_wrong_guesses")
    clock += LEFT_ALONE_FOR - timedelta(seconds=1)
    assert not await is_probed()
    clock += timedelta(seconds=1)
    assert await is_probed()
    assert not await is_probed()
    assert hass.config_entries.flow.async_progress() == []


async def test_device_that_does_not_answer_is_not_shown(hass: HomeAssistant, usual_port: Callable[[int], None]) -> None:
    usual_port(free_port())
    assert (await discover(hass))["reason"] == "not_an_inverter"


async def test_changed_address_of_a_known_inverter_is_taken_over(
    hass: HomeAssistant, inverter: InverterSimulator, set_up: SetUp, hass_storage: dict[str, Any]
) -> None:
    """On the port that it has, whether that is a usual one or not."""
    entry = await set_up(FAMILY)
    subentry = await add_and_confirm(hass, entry, inverter)
    away = {**subentry.data, CONF_HOST: "192.0.2.1"}
    hass.config_entries.async_update_subentry(entry, subentry, data=away)
    await hass.async_block_till_done(wait_background_tasks=True)
    loads = Loads(entry)

    result = await discover(hass)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "inverter_already_configured")
    assert subentry.data == stored(inverter)
    assert (loads.count, entry.state) == (1, ConfigEntryState.LOADED)
    assert f"{DOMAIN}.wrong_guesses" not in hass_storage


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_known_inverter_at_its_address_is_left_alone(
    hass: HomeAssistant, inverter: InverterSimulator, set_up: SetUp, host: str
) -> None:
    entry = await set_up(FAMILY)
    subentry = await add_and_confirm(hass, entry, inverter)
    hass.config_entries.async_update_subentry(entry, subentry, data={**subentry.data, CONF_HOST: host})
    await hass.async_block_till_done(wait_background_tasks=True)
    loads, connections = Loads(entry), inverter.connections
    assert (await discover(hass))["reason"] == "inverter_already_configured"
    assert (loads.count, inverter.connections) == (0, connections)
    assert subentry.data[CONF_HOST] == host


async def test_discovered_inverter_of_an_account_is_offered_to_its_home(
    hass: HomeAssistant, inverter: InverterSimulator, set_up: SetUp, usual_port: Callable[[int], None]
) -> None:
    entry = await set_up(FAMILY)
    usual_port(inverter.port)
    form = await discover(hass)
    assert form["step_id"] == "inverter_home"
    assert (await confirm(hass, form))["reason"] == "inverter_added"
    assert [each.unique_id for each in entry.subentries.values()] == [SERIAL]


async def test_ignored_inverter_is_not_offered_again_but_can_be_set_up(
    hass: HomeAssistant, inverter: InverterSimulator, usual_port: Callable[[int], None]
) -> None:
    MockConfigEntry(domain=DOMAIN, source="ignore", unique_id=SERIAL).add_to_hass(hass)
    usual_port(inverter.port)
    assert (await discover(hass))["reason"] == "inverter_already_configured"
    form = await search(hass, address(inverter))
    assert form["step_id"] == "inverter_confirm"
    assert (await confirm(hass, form))["type"] is FlowResultType.CREATE_ENTRY
