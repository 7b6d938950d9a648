"""Readings of a home on a real broker, through Home Assistant's MQTT integration."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
import gc
from pathlib import Path
import sys
from typing import Any

from homeassistant.components import mqtt
from homeassistant.config_entries import ConfigEntryState, ConfigFlowResult, ConfigSubentryData
from homeassistant.const import CONF_HOST, CONF_PORT
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from paho.mqtt.client import MQTTMessage
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.mtec import network
from custom_components.mtec.const import (
    CONF_FRAMING,
    CONF_MQTT,
    CONF_SERIAL_NUMBER,
    CONF_UNIT_ID,
    DOMAIN,
    NETWORK_INTERVAL,
    POLL_INTERVAL,
    SETTINGS_INTERVAL,
    SUBENTRY_INVERTER,
)
from custom_components.mtec.local.exchange import Timing
from custom_components.mtec.publishing.layouts import Layout
from custom_components.mtec.publishing.outbox import async_outbox
from tests.broker import MARK, Broker, Listener, until
from tests.conftest import FAMILY, GENERATION1, GENERATION2
from tests.home import SEED, Home, entry_at
from tests.inverter_home import inverter_subentry
from tests.inverter_simulator import InverterSimulator
from tests.mqtt_messages import golden
from tests.portal_simulator import HOUSE, Station

SERIAL = HOUSE.inverters[0].serial
SETTINGS = {"layout": "m_tec_api", "topic": "MTEC", "stations": True, "inverters": True, "retain": False}
RETAINED = SETTINGS | {"retain": True}
TOOL = SETTINGS | {"layout": "mtecmqtt"}
PV = "MTEC/Haus am See/current_PV"
AWAY, BACK = "The MQTT broker is away", "The MQTT broker is back"


@pytest.fixture
async def mqtt_entry(
    hass: HomeAssistant, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[MockConfigEntry]:
    """Home Assistant's MQTT integration, connected to the broker.

    It says nothing of its own: its birth message waits by the clock of the test until the broker may be away.
    """
    # It tries version 5 of MQTT first, on which this broker is silent.
    monkeypatch.setattr("homeassistant.components.mqtt.client.MQTT_TIMEOUT", 0.1)
    (tmp_path / "configuration.yaml").write_text("")
    hass.config.config_dir = str(tmp_path)
    entry = MockConfigEntry(
        domain=mqtt.DOMAIN,
        data={mqtt.CONF_BROKER: "127.0.0.1", CONF_PORT: broker.port},
        options={mqtt.CONF_BIRTH_MESSAGE: {}},
        version=mqtt.CONFIG_ENTRY_VERSION,
        minor_version=mqtt.CONFIG_ENTRY_MINOR_VERSION,
    )
    entry.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await until(lambda: mqtt.is_connected(hass))
    yield entry
    await hass.config_entries.async_unload(entry.entry_id)


@pytest.fixture
async def listener(broker: Broker) -> AsyncGenerator[Listener]:
    """A client that listens to what is published."""
    async with Listener(broker.port) as running:
        yield running


async def add(home: Home, settings: dict[str, Any] | None = None, email: str = FAMILY) -> MockConfigEntry:
    """Add an account that publishes."""
    options = {CONF_MQTT: SETTINGS if settings is None else settings}
    entry = entry_at(home.simulator.url, email, home.simulator.accounts[email].password, options=options, title=email)
    await set_up(home, entry)
    return entry


def change(home: Home, entry: MockConfigEntry, settings: dict[str, Any] | None) -> None:
    """Change how an account publishes, which reloads it."""
    home.hass.config_entries.async_update_entry(entry, options={} if settings is None else {CONF_MQTT: settings})


async def settle(home: Home) -> None:
    """Wait until nothing is done any more but by the MQTT integration, which waits by the clock that stands still."""

    def is_settled() -> bool:
        names = [task.get_name() for task in vars(home.hass)["_background_tasks"] if isinstance(task, asyncio.Task)]
        return not [name for name in names if not name.startswith("mqtt ")]

    for _ in range(3):
        await home.hass.async_block_till_done()
        await until(is_settled)


async def poll(home: Home, times: int = 1, after: timedelta = POLL_INTERVAL) -> None:
    """Let the poll interval pass."""
    for _ in range(times):
        home.freezer.tick(after + timedelta(seconds=1))
        async_fire_time_changed(home.hass)
        await settle(home)


async def set_up(home: Home, entry: MockConfigEntry) -> None:
    """Add a home, and wait for its first poll."""
    entry.add_to_hass(home.hass)
    assert await home.hass.config_entries.async_setup(entry.entry_id)
    await settle(home)


async def until_all_has_arrived(home: Home, listener: Listener) -> None:
    """Wait for a message that Home Assistant publishes after all others."""
    mark = (MARK, f"{len(listener.received)} of Home Assistant")
    await mqtt.async_publish(home.hass, *mark)
    await until(lambda: mark in listener.received)


async def reconnect(home: Home) -> None:
    """Let the MQTT integration connect again, which it tries every few seconds by a clock that stands still here."""
    for _ in range(100):
        await poll(home, after=NETWORK_INTERVAL)
        # The broker's answer takes real time: should the clock move on before, the attempt is given up.
        with suppress(AssertionError):
            await until(lambda: mqtt.is_connected(home.hass), patience=1)
            return
    raise AssertionError("It does not connect")


# What is published


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("email", [FAMILY, "barn@example.com", "farm@example.com", "cabin@example.com"])
async def test_all_topics_and_texts_arrive_at_the_broker(
    home: Home, generation: int, mqtt_entry: MockConfigEntry, listener: Listener, email: str, layout: Layout
) -> None:
    expected = golden(f"{email.partition('@')[0]}-generation{generation}-{layout}")
    await add(home, SETTINGS | {"layout": layout.value}, email)
    await until(lambda: expected.keys() <= listener.texts.keys())
    assert listener.texts.keys() == expected.keys()
    # The portal's own clock goes on while it is asked.
    different = {topic for topic, text in expected.items() if listener.texts[topic] != text}
    assert len(different) <= len(expected) / 2
    for topic in different:
        assert float(listener.texts[topic]) == pytest.approx(float(expected[topic]), rel=0.05, abs=10)


@GENERATION1
async def test_new_values_are_published_with_each_poll(
    home: Home, mqtt_entry: MockConfigEntry, listener: Listener
) -> None:
    await add(home)
    await until(lambda: PV in listener.texts)
    await settle(home)
    await until_all_has_arrived(home, listener)
    before = [topic for topic, _ in listener.received].count(PV)
    await poll(home, 3)
    await until(lambda: [topic for topic, _ in listener.received].count(PV) == before + 3)
    assert float(listener.texts[PV]) == pytest.approx(float(home.value("sensor.haus_am_see_pv_power")), abs=0.01)


@GENERATION1
async def test_data_that_are_kept_after_a_failure_are_not_published_again(
    home: Home, mqtt_entry: MockConfigEntry, listener: Listener
) -> None:
    await add(home)
    await until(lambda: PV in listener.texts)
    await settle(home)
    await until_all_has_arrived(home, listener)
    home.simulator.faults.add("http_500")
    count = len(listener.received)
    await poll(home)
    assert home.value("sensor.haus_am_see_pv_power") != "unavailable"
    await until_all_has_arrived(home, listener)
    assert [topic for topic, _ in listener.received[count:]] == [MARK]
    home.simulator.faults.clear()
    await poll(home)
    # All of one poll are there, and nothing of the other one is before them.
    await until(lambda: {topic for topic, _ in listener.received[count:]} >= listener.texts.keys())
    assert [topic for topic, _ in listener.received[count:]].count(PV) == 1


@GENERATION1
@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"stations": False}, "Energy Butler/"), ({"inverters": False}, "current_"), ({"topic": "Solar"}, "")],
)
async def test_only_what_is_chosen_is_published(
    home: Home, broker: Broker, mqtt_entry: MockConfigEntry, settings: dict[str, Any], expected: str
) -> None:
    async with Listener(broker.port, "#") as listener:
        entry = await add(home, SETTINGS | settings | {"decimals": 0})
        base = f"{settings.get('topic', 'MTEC')}/Haus am See/"
        await until(lambda: any(topic.startswith(base + expected) for topic in listener.texts))
        await settle(home)
        await until_all_has_arrived(home, listener)
        assert entry.state is ConfigEntryState.LOADED
        found = {
            topic: text for topic, text in listener.texts.items() if not topic.startswith(("$SYS", "homeassistant"))
        }
        assert all(topic.startswith(base) for topic in found)
        assert {len(topic.split("/")) for topic in found} == {
            "Energy Butler/": {4},
            "current_": {3},
            "": {3, 4},
        }[expected]
        assert not [text for text in found.values() if "." in text]


@GENERATION1
async def test_nothing_is_published_by_itself_and_no_discovery(
    home: Home, broker: Broker, mqtt_entry: MockConfigEntry
) -> None:
    async with Listener(broker.port, "MTEC/#", "homeassistant/+/+/#") as listener:
        entry = entry_at(home.simulator.url, FAMILY, "sunshine")
        await set_up(home, entry)
        await poll(home)
        assert listener.texts == {}
        change(home, entry, SETTINGS)
        await settle(home)
        await until(lambda: PV in listener.texts)
        assert not [topic for topic in listener.texts if not topic.startswith("MTEC/")]


@GENERATION1
async def test_two_stations_of_one_name_never_share_a_topic(
    home: Home, mqtt_entry: MockConfigEntry, listener: Listener
) -> None:
    """The other one is in another account, and begins to publish first."""
    account = home.simulator.accounts["barn@example.com"]
    account.stations[:] = [Station(replace(account.stations[0].description, name="Haus/am+See"))]
    family = home.simulator.accounts[FAMILY]
    family.stations[:] = [Station(replace(HOUSE, name="Haus#am/See"))]
    await add(home, email="barn@example.com")
    await until(lambda: "MTEC/Haus_am_See/current_PV" in listener.texts)
    await add(home)
    barn_id, house_id = account.stations[0].description.station_id, HOUSE.station_id
    assert barn_id > house_id
    await poll(home, 2)
    await until(lambda: f"MTEC/Haus_am_See {barn_id}/current_PV" in listener.texts)
    assert "MTEC/Haus_am_See/current_battery" in listener.texts
    assert f"MTEC/Haus_am_See {barn_id}/current_battery" not in listener.texts


# The network


@pytest.mark.parametrize("layout", list(Layout))
@GENERATION2
async def test_inverter_in_the_network_is_published_without_an_account(
    home: Home, mqtt_entry: MockConfigEntry, listener: Listener, monkeypatch: pytest.MonkeyPatch, layout: Layout
) -> None:
    monkeypatch.setattr(network, "TIMING", Timing(spacing=0))
    async with InverterSimulator(HOUSE, seed=SEED, clock=home.simulator.clock, framing="tcp") as inverter:
        subentry = ConfigSubentryData(
            data={
                CONF_HOST: inverter.host,
                CONF_PORT: inverter.port,
                CONF_FRAMING: "tcp",
                CONF_UNIT_ID: inverter.unit,
                CONF_SERIAL_NUMBER: SERIAL,
                "model": "8K-25",
            },
            subentry_type=SUBENTRY_INVERTER,
            title="Cellar",
            unique_id=SERIAL,
        )
        options = {CONF_MQTT: SETTINGS | {"layout": layout.value}}
        entry = MockConfigEntry(domain=DOMAIN, title="Cellar", data={}, options=options, subentries_data=[subentry])
        await set_up(home, entry)
        await poll(home, after=NETWORK_INTERVAL)
        base = f"MTEC/{SERIAL}/Cellar" if layout is Layout.M_TEC_API else f"MTEC/{SERIAL}"
        old = "MTEC/Station/Inverter" if layout is Layout.M_TEC_API else f"MTEC/{SERIAL}"
        expected = {topic.replace(old, base) for topic in golden(f"family-network-{layout}")}
        await until(lambda: expected <= listener.texts.keys())
        assert listener.texts.keys() == expected
        assert await home.hass.config_entries.async_unload(entry.entry_id)


@GENERATION2
async def test_settings_that_are_switched_on_are_published(
    home: Home, mqtt_entry: MockConfigEntry, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "TIMING", Timing(spacing=0))
    async with InverterSimulator(HOUSE, seed=SEED, clock=home.simulator.clock, framing="tcp") as inverter:
        entry = MockConfigEntry(
            domain=DOMAIN,
            title="Cellar",
            data={},
            options={CONF_MQTT: SETTINGS | {"layout": Layout.MTECMQTT.value}},
            subentries_data=[inverter_subentry(inverter)],
        )
        for address, raw in (
            (50000, 258),
            (25100, 1),
            (25103, 605),
            (52502, 1),
            (52503, 150),
            (52504, 0),
            (52505, 200),
        ):
            inverter.change(address, raw)
        await set_up(home, entry)
        await poll(home, after=SETTINGS_INTERVAL)
        await poll(home, after=NETWORK_INTERVAL)
        expected = {
            "now-base/mode": "258",
            "config/grid_inject_switch": "1",
            "config/grid_inject_limit": "60.500",
            "config/on_grid_soc_switch": "1",
            "config/on_grid_soc_limit": "15.000",
            "config/off_grid_soc_switch": "0",
            "config/off_grid_soc_limit": "20.000",
        }
        topics = {f"MTEC/{SERIAL}/{parameter}": text for parameter, text in expected.items()}
        await until(lambda: topics.keys() <= listener.texts.keys())
        assert {topic: listener.texts[topic] for topic in topics} == topics
        assert await home.hass.config_entries.async_unload(entry.entry_id)


# The broker is away


@GENERATION1
async def test_newest_values_are_there_after_the_broker_is_back(
    home: Home, broker: Broker, mqtt_entry: MockConfigEntry
) -> None:
    await add(home, RETAINED)
    async with Listener(broker.port) as listener:
        await until(lambda: PV in listener.texts)
    await broker.stop()
    await until(lambda: not mqtt.is_connected(home.hass))
    before = len(home.simulator.requests)
    await poll(home, 5)
    # Nothing else waits.
    assert len(home.simulator.requests) >= before + 10
    assert home.value("sensor.haus_am_see_pv_power") != "unavailable"
    assert (home.said(AWAY), home.said(BACK)) == (1, 0)
    newest = float(home.value("sensor.haus_am_see_pv_power"))
    await broker.start()
    await reconnect(home)
    assert (home.said(AWAY), home.said(BACK)) == (1, 1)
    async with Listener(broker.port) as listener:
        # Of what was published before nothing is left in this broker.
        await until(lambda: "MTEC/Haus am See/Energy Butler/PV_PV2_I" in listener.texts and PV in listener.texts)
        assert float(listener.texts[PV]) == pytest.approx(newest, rel=0.2)


@GENERATION1
async def test_home_that_is_set_up_before_the_broker_answers_publishes_later(
    home: Home, broker: Broker, mqtt_entry: MockConfigEntry
) -> None:
    await broker.stop()
    await until(lambda: not mqtt.is_connected(home.hass))
    entry = await add(home)
    assert entry.state is ConfigEntryState.LOADED
    assert home.said(AWAY) == 1
    await broker.start()
    async with Listener(broker.port) as listener:
        await reconnect(home)
        await until(lambda: PV in listener.texts)


@GENERATION1
async def test_without_the_mqtt_integration_the_home_works_and_the_log_has_one_line(home: Home) -> None:
    entry = await add(home)
    await poll(home, 3)
    assert entry.state is ConfigEntryState.LOADED
    assert home.said(AWAY) == 1


# Retained topics


async def retained(home: Home, broker: Broker) -> set[str]:
    """Return the topics that the broker has kept when it has all that was published."""
    async with Listener(broker.port, "arrived") as listener:
        await mqtt.async_publish(home.hass, "arrived", "yes")
        await until(lambda: "arrived" in listener.texts)
    async with Listener(broker.port, "MTEC/#", "Solar/#") as listener:
        await listener.until_kept_is_known()
        return {topic for topic, text in listener.retained.items() if text}


@GENERATION1
async def test_retained_topics_are_cleared_when_publishing_is_turned_off(
    home: Home, broker: Broker, mqtt_entry: MockConfigEntry, hass_storage: dict[str, Any]
) -> None:
    entry = await add(home, RETAINED)
    expected = set(golden("family-generation1-m_tec_api"))
    await settle(home)
    assert await retained(home, broker) == expected
    change(home, entry, None)
    await settle(home)
    assert await retained(home, broker) == set()
    assert "mtec.mqtt" not in hass_storage


@GENERATION1
@pytest.mark.parametrize("settings", [{"layout": "mtecmqtt"}, {"topic": "Solar"}, {"stations": False}])
async def test_retained_topics_of_old_settings_are_cleared(
    home: Home, broker: Broker, mqtt_entry: MockConfigEntry, settings: dict[str, Any]
) -> None:
    entry = await add(home, RETAINED)
    await settle(home)
    old = await retained(home, broker)
    change(home, entry, RETAINED | settings)
    await settle(home)
    new = await retained(home, broker)
    assert new
    assert new != old
    assert all(topic.startswith("Solar/") for topic in new) == ("topic" in settings)
    assert all("/Energy Butler/" in topic for topic in new) == ("stations" in settings)
    assert all(topic.startswith(f"MTEC/{SERIAL}/") for topic in new) == ("layout" in settings)


@GENERATION1
async def test_retained_topics_are_cleared_when_they_are_no_longer_retained(
    home: Home, broker: Broker, mqtt_entry: MockConfigEntry, listener: Listener
) -> None:
    entry = await add(home, RETAINED)
    await settle(home)
    assert await retained(home, broker)
    change(home, entry, SETTINGS)
    await settle(home)
    assert await retained(home, broker) == set()
    # The values themselves go on.
    await until(lambda: PV in listener.texts)


@GENERATION1
async def test_retained_topics_are_cleared_when_the_home_is_removed(
    home: Home, broker: Broker, mqtt_entry: MockConfigEntry, hass_storage: dict[str, Any]
) -> None:
    entry = await add(home, RETAINED)
    await settle(home)
    assert await retained(home, broker)
    await home.hass.config_entries.async_remove(entry.entry_id)
    await settle(home)
    assert await retained(home, broker) == set()
    assert "mtec.mqtt" not in hass_storage


@GENERATION1
async def test_retained_topics_are_cleared_once_the_broker_is_back(
    home: Home, broker: Broker, mqtt_entry: MockConfigEntry, hass_storage: dict[str, Any]
) -> None:
    entry = await add(home, RETAINED)
    await settle(home)
    await broker.stop()
    await until(lambda: not mqtt.is_connected(home.hass))
    await home.hass.config_entries.async_remove(entry.entry_id)
    await settle(home)
    assert hass_storage["mtec.mqtt"]["data"][entry.entry_id]["topics"]
    await broker.start()
    async with Listener(broker.port) as listener:
        await reconnect(home)
        await settle(home)
        await until(lambda: (PV, "") in listener.received)
    assert "mtec.mqtt" not in hass_storage


@GENERATION1
async def test_topics_of_a_home_that_is_gone_are_cleared_at_the_next_start(
    home: Home, broker: Broker, mqtt_entry: MockConfigEntry, listener: Listener, hass_storage: dict[str, Any]
) -> None:
    hass_storage["mtec.mqtt"] = {
        "version": 1,
        "minor_version": 1,
        "key": "mtec.mqtt",
        "data": {"gone": {"settings": RETAINED, "topics": {"MTEC/Gone/current_PV": "1"}}},
    }
    await add(home)
    await settle(home)
    await until(lambda: ("MTEC/Gone/current_PV", "") in listener.received)
    assert "mtec.mqtt" not in hass_storage


@GENERATION1
async def test_retained_topics_of_an_old_name_are_cleared(
    home: Home, broker: Broker, mqtt_entry: MockConfigEntry
) -> None:
    entry = await add(home, RETAINED)
    await settle(home)
    family = home.simulator.accounts[FAMILY]
    family.stations[:] = [Station(replace(HOUSE, name="Seehaus"))]
    assert await home.hass.config_entries.async_reload(entry.entry_id)
    await settle(home)
    assert {topic.split("/")[1] for topic in await retained(home, broker)} == {"Seehaus"}


# The options


async def open_options(hass: HomeAssistant, entry: MockConfigEntry) -> ConfigFlowResult:
    menu = await hass.config_entries.options.async_init(entry.entry_id)
    assert menu["type"] is FlowResultType.MENU
    assert "mqtt" in menu["menu_options"]
    return await hass.config_entries.options.async_configure(menu["flow_id"], {"next_step_id": "mqtt"})


@GENERATION1
async def test_options_turn_publishing_on_and_off(home: Home, mqtt_entry: MockConfigEntry, listener: Listener) -> None:
    entry = entry_at(home.simulator.url, FAMILY, "sunshine", options={"scan_interval": 90})
    await set_up(home, entry)
    form = await open_options(home.hass, entry)
    configure = home.hass.config_entries.options.async_configure
    for topic in ("", " ", "a/b", "a+", "#", "$SYS", "a\nb"):
        form = await configure(form["flow_id"], SETTINGS | {"publish": True, "topic": topic})
        assert form["errors"] == {"topic": "invalid_topic"}
    done = await configure(form["flow_id"], SETTINGS | {"publish": True, "topic": " Solar ", "decimals": 1.0})
    assert done["type"] is FlowResultType.CREATE_ENTRY
    assert entry.options == {"scan_interval": 90, CONF_MQTT: SETTINGS | {"topic": "Solar", "decimals": 1}}
    await settle(home)
    # The other settings keep it.
    menu = await home.hass.config_entries.options.async_init(entry.entry_id)
    form = await configure(menu["flow_id"], {"next_step_id": "settings"})
    await configure(form["flow_id"], {"scan_interval": 60, "stations": [HOUSE.station_id], "fill_gaps": True})
    assert entry.options[CONF_MQTT] == SETTINGS | {"topic": "Solar", "decimals": 1}
    await settle(home)
    form = await open_options(home.hass, entry)
    await configure(form["flow_id"], SETTINGS | {"publish": False})
    assert CONF_MQTT not in entry.options
    assert entry.options["scan_interval"] == 60
    await settle(home)


@GENERATION1
async def test_options_say_what_to_install_without_mqtt(home: Home) -> None:
    entry = entry_at(home.simulator.url, FAMILY, "sunshine")
    await set_up(home, entry)
    result = await open_options(home.hass, entry)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "mqtt_missing")


@GENERATION1
async def test_publishing_can_be_turned_off_after_mqtt_was_removed(home: Home) -> None:
    entry = await add(home)
    form = await open_options(home.hass, entry)
    await home.hass.config_entries.options.async_configure(form["flow_id"], SETTINGS | {"publish": False})
    assert entry.options == {}
    await settle(home)


# Memory


class Counter(Listener):
    """A client that counts what arrives, and keeps nothing of it."""

    count = 0

    def _receive(self, message: MQTTMessage) -> None:
        self.count += 1


def allocated() -> int:
    """Return how many blocks of memory Python has handed out, at least one for each object."""
    gc.collect()
    return sys.getallocatedblocks()


@GENERATION1
async def test_ten_thousand_publications_leave_memory_flat(
    home: Home, mqtt_entry: MockConfigEntry, broker: Broker
) -> None:
    entry = await add(home, RETAINED | {"inverters": False})
    await settle(home)
    station = entry.runtime_data.station_readings[HOUSE.station_id]
    outbox = await async_outbox(home.hass)
    # In its debug mode the event loop keeps where each task was made, which takes longer than to publish.
    asyncio.get_running_loop().set_debug(False)

    async with Counter(broker.port, "MTEC/Haus am See/+") as counter:
        topics = len(await retained(home, broker))
        assert topics == 10
        await until(lambda: counter.count >= topics)

        async def publish(times: int) -> None:
            """Publish all topics so many times, as after a poll, and wait until all have arrived."""
            expected = counter.count + times * topics
            for _ in range(times):
                station.fetched_at += timedelta(seconds=1)
                station.async_update_listeners()
                while vars(outbox)["_is_sending"]:
                    await asyncio.sleep(0)
            await until(lambda: counter.count >= expected)
            assert counter.count == expected

        for _ in range(10):
            await publish(10)
        after_1_000 = allocated()
        for _ in range(9):
            await publish(100)
        grown = allocated() - after_1_000
    # One object that stayed for each of the 9 000 would be 9 000 blocks.
    assert grown < 3_000
