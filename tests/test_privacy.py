"""Nothing of a person's in the diagnostics, wherever in a portal's answers it stands and however it is written."""

import base64
import codecs
from collections.abc import Awaitable, Callable, Iterator
from html import escape
import json
from random import Random
import re
from typing import Any
import unicodedata
from urllib.parse import quote

from homeassistant.components.system_health import get_info
from homeassistant.config_entries import ConfigEntryDisabler
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

from custom_components.mtec.const import DOMAIN
from custom_components.mtec.models import Inverter, Station
from custom_components.mtec.portal import PORTAL_URL
from custom_components.mtec.portal.redaction import Redactor
from tests.conftest import VILLAGE, SetUp
from tests.home import add_account, entry_at
from tests.odd_portal import odd_portal
from tests.portal_simulator import FARM, HOUSE, PortalSimulator

STATIONS = ["Vyk", "Qöx", "Hof Qwillmann"]
PERSONS = ["Erika Mustermann", "Jörg Öhlinger", "Max Mustermann", "Zdeňka Nováková", "Ágnes Ő. Kovács"]
CONTACTS = [
    "erika.mustermann@example.com",
    "+49 171 5550123",
    "0043-664-5550199",
    "(08051) 5550-12",
    "01715550177",
    "4917155501880",
    "Seestraße 12 a, 83209 Prien",
    "48.137154, 11.576124",
    "48.137154",
    "-11.5761",
    "DE89370400440532013000",
]
SENTENCES = [
    "Station Vyk is offline since 12:30",
    "Vyk_Grid fault",
    "The inverter of Qöx reports 231.4 V",
    "Please call Erika Mustermann, +49 171 5550123",
    "Running (Mustermann)",
    "8.0-3P-25A Mustermann",
    "2026-06-15 Mustermann",
    "12.5 Qöx",
    "Mustermann kWh",
    "Vyk",
    "VYK-8.0",
    "vykPower",
]
PRIVATE = [*STATIONS, *PERSONS, *CONTACTS, *SENTENCES]
SURROGATES = ["Vyk \ud83c", "\udfff"]
TELLTALES = [
    *("vyk", "qöx", "qwillmann", "erika", "mustermann", "jörg", "öhlinger", "zdeňka", "nováková", "ágnes", "kovács"),
    *("5550123", "5550199", "5550-12", "5550177", "5550188", "seestraße", "prien", "48.137", "11.576", "de8937"),
]
"""Parts of what is private, of which none may be seen. None of them is part of a word of the diagnostics' own."""

ENCODINGS: list[Callable[[str], str]] = [
    str,
    str.upper,
    str.lower,
    quote,
    lambda text: quote(quote(text)),
    lambda text: json.dumps(text)[1:-1],
    lambda text: "".join(f"&#{ord(character)};" for character in text),
    escape,
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: text.encode().hex(),
    lambda text: codecs.encode(text, "rot13"),
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: f"\u200b{text}\xa0",
    lambda text: text.replace(" ", "_"),
    lambda text: text.replace(" ", ""),
]

type Alter = Callable[[Any, str], Any]


def altered(data: Any, alter: Alter, key: str = "") -> Any:
    """Return an answer with each value as `alter` makes it from the value and its name."""
    if isinstance(data, dict):
        return {name: altered(value, alter, name) for name, value in data.items()}
    if isinstance(data, list):
        return [altered(each, alter, key) for each in data]
    return alter(data, key)


def spoil(simulator: PortalSimulator, alter: Alter) -> None:
    """Let all answers but those to the login have what `alter` makes of their values."""
    envelope = simulator._envelope

    def spoiled(call: Any, code: str, message: str, data: object) -> Any:
        return envelope(call, code, message, data if "login" in call.path else altered(data, alter))

    simulator._envelope = spoiled  # type: ignore[method-assign]


def personal(random: Random, share: float, said: set[str], odd: list[str]) -> Alter:
    """Return what puts something private in the place of some values, and notes it in `said`."""

    def alter(value: Any, _: str) -> Any:
        if random.random() >= share:
            return value
        text = random.choice([*PRIVATE, *odd])
        if text not in odd:
            text = random.choice(ENCODINGS)(text)
        # Half of it is a word of the platform's.
        name = text.replace("vykPower", "Vyk")
        said.update((text, name))
        return random.choice([text, [text], {"a": text}, {name: 1}, {"name": text, "value": 5}])

    return alter


def chance(seed: object) -> Random:
    """Return chance that is the same each time."""
    return Random(str(seed))  # noqa: S311


async def set_up_anyhow(hass: HomeAssistant, simulator: PortalSimulator) -> MockConfigEntry:
    """Add the account of the village, whether it can be set up or not."""
    entry = entry_at(simulator.url, VILLAGE, "together")
    await add_account(hass, entry)
    return entry


async def diagnostics_of(hass: HomeAssistant, web: ClientSessionGenerator, entry: MockConfigEntry) -> Any:
    assert await async_setup_component(hass, "diagnostics", {})
    await hass.async_block_till_done(wait_background_tasks=True)
    return await get_diagnostics_for_config_entry(hass, web, entry)


def seen_of(said: set[str], found: Any) -> set[str]:
    """Return what of that which was said, or of its parts, can be read in the diagnostics."""
    # Without the moments of the diagnostics' own, whose seconds can be any number.
    text = re.sub(r"\d\dT\d\d:\d\d:\d\d\.\d+", "", json.dumps(found, ensure_ascii=False))
    lower = unicodedata.normalize("NFC", text).lower()
    words = set(strings(found))
    return {each for each in said if each in words or (len(each) > 5 and each in text)} | {
        each for each in TELLTALES if each in lower
    }


def strings(found: Any) -> Iterator[str]:
    """Yield all texts, names included."""
    if isinstance(found, dict):
        for name, value in found.items():
            yield name
            yield from strings(value)
    elif isinstance(found, list):
        for each in found:
            yield from strings(each)
    else:
        yield str(found)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
async def test_nothing_personal_from_any_value_of_any_answer(
    hass: HomeAssistant, simulator: PortalSimulator, hass_client: ClientSessionGenerator, seed: int, share: float
) -> None:
    said: set[str] = set()
    spoil(simulator, personal(chance(f"{seed} {share}"), share, said, []))
    found = await diagnostics_of(hass, hass_client, await set_up_anyhow(hass, simulator))
    assert said
    assert found["answers"]
    assert seen_of(said, found) == set()


async def test_nothing_personal_after_the_set_up(
    hass: HomeAssistant, simulator: PortalSimulator, hass_client: ClientSessionGenerator, set_up: SetUp
) -> None:
    """With stations and inverters that are known, each value is something private in turn."""
    entry = await set_up()
    random, said = chance(1), set[str]()
    for _ in range(5):
        spoil(simulator, personal(random, 0.3, said, SURROGATES))
        await entry.runtime_data.async_refresh()
        await hass.async_block_till_done(wait_background_tasks=True)
        found = await diagnostics_of(hass, hass_client, entry)
        assert seen_of(said, found) == set()
    assert len(said) > 50
    assert len(found["stations"]) == 3


NAMES = {HOUSE.name: "Vyk", 'Stall; "Süd"/Müller': "Qöx", FARM.name: "Hof Qwillmann", "Wohnhaus": "Erika's Mustermann"}


async def test_relations_are_seen_and_names_are_not(
    hass: HomeAssistant, simulator: PortalSimulator, hass_client: ClientSessionGenerator
) -> None:
    """Short names of stations, a person's name as that of an inverter, and free text as its model."""

    def rename(value: Any, key: str) -> Any:
        return "Vyk's 8.0 Mustermann" if key == "modelType" else NAMES.get(value, value) if value.__hash__ else value

    spoil(simulator, rename)
    entry = await set_up_anyhow(hass, simulator)
    found = await diagnostics_of(hass, hass_client, entry)
    assert [(each["id"], each["station"]) for each in found["inverters"]] == [
        ("inverter-1", "station-1"),
        ("inverter-2", "station-2"),
        ("inverter-3", "station-3"),
        ("inverter-4", "station-3"),
    ]
    assert {each["model"] for each in found["inverters"]} <= {None, "text-1 (20 characters)"}
    assert "name-of-station-1" in set(strings(found["answers"]))
    assert seen_of({*NAMES.values(), *NAMES}, found) == set()
    device = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, FARM.station_id), entry.entry_id)
    assert device is not None
    assert device.name == "Hof Qwillmann"
    of_device = await get_diagnostics_for_device(hass, hass_client, entry, device)
    assert seen_of({*NAMES.values(), *NAMES}, of_device) == set()


async def test_refusals_of_the_portal(
    hass: HomeAssistant, simulator: PortalSimulator, hass_client: ClientSessionGenerator, set_up: SetUp
) -> None:
    """Errors that name a station of three letters."""
    entry = await set_up()
    redactor = Redactor()
    redactor.station(Station(id="1", name="Vyk"))
    for sentence in ("The portal refuses: Vyk is offline", "no (Vyk)", "vyk", "Vyk_1", "at_Vyk", "Vyk,Vyk"):
        assert "vyk" not in redactor.redact_text(sentence).lower()
    simulator.accounts[VILLAGE].stations.clear()
    await entry.runtime_data.async_refresh()
    found = await diagnostics_of(hass, hass_client, entry)
    assert found["session"]["error_counts"]
    assert HOUSE.station_id not in json.dumps(found)


async def test_names_in_an_answer_that_is_no_envelope(hass: HomeAssistant, hass_client: ClientSessionGenerator) -> None:
    """The shape of such an answer is noted: its names, which may be those of persons."""
    odd = {"status": {'Erika "Mustermann"': 5, "vyk": 1}, "list": [1], **{f"Mustermann {n}": n for n in range(99)}}
    async with odd_portal(lambda _: odd) as portal:
        entry = entry_at(portal.url, VILLAGE)
        assert not await add_account(hass, entry)
        found = await diagnostics_of(hass, hass_client, entry)
    notes = [note for error in found["session"]["last_errors"] for note in error["notes"]]
    assert notes
    assert all(note.startswith('The answer: {"status": {"key-1": "int", "key-2": "int"}, "list":') for note in notes)
    assert seen_of(set(), found) == set()
    for cut in ('"Erika', '"Erika \\"Mustermann', '"Erika \\'):
        shape = f'The answer: {{"status": "str (3 characters)", {cut}'
        assert Redactor().redact_shape(shape) == 'The answer: {"status": "str (3 characters)", '
    assert Redactor().redact_shape("The answer: no JSON of 5 bytes") == "The answer: no JSON of 5 bytes"


async def test_address_of_a_portal_of_ones_own_is_hidden_and_of_the_usual_one_shown(
    hass: HomeAssistant, hass_client: ClientSessionGenerator
) -> None:
    for url, shown in ((PORTAL_URL, PORTAL_URL), ("https://vyk.example.com", "portal")):
        entry = MockConfigEntry(domain=DOMAIN, data={CONF_URL: url, CONF_EMAIL: VILLAGE, "remark": "Vyk"})
        entry.add_to_hass(hass)
        assert await async_setup_component(hass, "homeassistant", {})
        await hass.config_entries.async_set_disabled_by(entry.entry_id, ConfigEntryDisabler.USER)
        await async_setup_component(hass, DOMAIN, {})
        found = await diagnostics_of(hass, hass_client, entry)
        assert found["entry"]["data"] == {CONF_URL: shown, CONF_EMAIL: "email", "remark": "text-1 (3 characters)"}


# Each kind of value


@pytest.mark.parametrize("text", [*PRIVATE, *(encode(text) for text in PRIVATE for encode in ENCODINGS[3:])])
def test_text_of_a_person_is_not_shown_under_any_name(text: str) -> None:
    for key in (
        *("pac", "currentData", "value", "field", "unit", "pacUnit", "stationStatusTip", "deviceType", "modelType"),
        *("errorCode", "runStatus", "batteryMode", "deviceModel", "firmwareVersion", "label", "date", "dateStamp"),
        *("time", "remark", "name", "id", "iecPath", "status", "type", "msg", "a", ""),
    ):
        shown = Redactor().redact_answer({key: text})
        assert list(shown) == [key] or key == ""
        [value] = shown.values()
        assert text.strip() not in value, key
        assert f"({len(text)} characters)" in value
    [name] = Redactor().redact_answer({text: 1})
    assert text not in name or text == "vykPower"


def test_number_of_a_person_is_not_shown() -> None:
    answer = {
        "owner": {"first": 1, "last": [48.1, 5]},
        "userInfo": {"code": 12345},
        "remark": 17155501,
        "pac": 17155501,
        "faultFlag1": 2**32,
        "dataTime": 491715550123,
        "birthDate": "1961-03-04",
        "contactPhone": 112,
    }
    shown = Redactor().redact_answer(answer)
    assert shown["owner"] == {"first": "id-1 (int)", "last": ["id-2 (float)", "id-3 (int)"]}
    assert shown["userInfo"] == {"code": "id-4 (int)"}
    for key in ("remark", "pac", "faultFlag1", "dataTime", "birthDate", "contactPhone"):
        assert str(answer[key]) not in str(shown[key]), key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("faultFlag1", 4294967295),
        ("warnFlag2", "0x1F"),
        ("bmsErrorCode", "1024"),
        ("workStatus", "2"),
        ("curveType", "1000"),
        ("newReading", "51.2"),
        ("newReading", "51.2 V"),
        ("newReading", 512),
        ("dateStamp", "1781388000000"),
        ("date", "07"),
        ("field", "Temperature12"),
        ("field", "powerPV1"),
        ("field", "Battery_Temperature"),
        ("iecPath", "maxCellVoltage"),
        ("newUnit", "MWh"),
        ("instatlledPowerUnit", "kWp"),
        ("stationStatusTip", "Off grid"),
        ("type", "powerflow"),
        ("modelType", "8kW-3P"),
        ("deviceModel", "MHT-10K-25"),
        ("firmwareVersion", "V1.2.3"),
    ],
)
def test_what_a_developer_needs_is_shown(key: str, value: Any) -> None:
    assert Redactor().redact_answer({key: value}) == {key: value}


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("remark", "123456", "number as text (6 characters)"),
        ("pac", "0171 555", "number as text (8 characters)"),
        ("pac", "8051555", "number as text (7 characters)"),
        ("pacUnit", "Vyk", "text-1 (3 characters)"),
        ("field", "Day", "text-1 (3 characters)"),
        ("field", "Vyk_Power", "text-1 (9 characters)"),
        ("modelType", "Max 12", "text-1 (6 characters)"),
        ("modelType", "A-8010", "text-1 (6 characters)"),
        ("stationStatusTip", "Erika", "text-1 (5 characters)"),
        ("pac", "Running fast", "text-1 (12 characters)"),
        ("deviceSn", "Vyk", "id-1 (3 characters)"),
        ("token", "1", "secret (1 characters)"),
    ],
)
def test_everything_else_is_its_length_and_kind(key: str, value: str, shown: str) -> None:
    assert Redactor().redact_answer({key: value}) == {key: shown}


def test_equal_texts_are_seen_to_be_equal() -> None:
    shown = Redactor().redact_answer([{"remark": "Erika"}, {"title": "Jörg"}, {"other": "Erika"}])
    assert shown == [
        {"remark": "text-1 (5 characters)"},
        {"title": "text-2 (4 characters)"},
        {"other": "text-1 (5 characters)"},
    ]


def test_text_that_is_found_in_an_answer_does_not_stand_for_words_of_our_own() -> None:
    redactor = Redactor()
    redactor.redact_answer({"remark": "unavailable"})
    assert redactor.redact_text("The portal is unavailable") == "The portal is unavailable"


def test_name_of_a_station_is_hidden_in_words_of_the_platform() -> None:
    redactor = Redactor()
    redactor.station(Station(id="1641023978845093891", name="Off"))
    redactor.inverter(Inverter(name="MHT", serial_number="EB083P2304180127", model=None))
    assert redactor.redact_answer({"stationStatusTip": "Off grid", "modelType": "MHT-10K-25", "runStatus": "off"}) == {
        "stationStatusTip": "text-1 (8 characters)",
        "modelType": "text-2 (10 characters)",
        "runStatus": "name-of-station-1",
    }
    assert redactor.redact_model_name("MHT-10K-25") == "text-2 (10 characters)"
    assert redactor.redact_model_name("8.0-3P-25A") == "8.0-3P-25A"


def test_short_name_that_is_a_number_hides_no_reading() -> None:
    redactor = Redactor()
    redactor.inverter(Inverter(name="2", serial_number="EB083P2304180127", model=None))
    assert redactor.redact_answer({"deviceType": 2, "workStatus": "2", "deviceName": "2"}) == {
        "deviceType": 2,
        "workStatus": "2",
        "deviceName": "name-of-inverter-1",
    }


def test_half_an_emoji_and_numbers_without_end_can_be_written_as_json() -> None:
    redactor = Redactor()
    redactor.station(Station(id="1\ud83c", name="Vyk \ud83c"))
    odd = {"a\ud83c": "b\udc00", "date": 10**400, "pac": float("inf"), "soc": 10**400, "name": "Vyk \ud83c"}
    shown = json.dumps(
        [redactor.redact_answer(odd), redactor.redact_text("c\ud83d"), redactor.redact_data({"d\ud83d": "e\ud83d"})]
    )
    assert "\\ud8" not in shown and "\\udc" not in shown and "0000" not in shown
    assert "name-of-station-1" in shown


async def test_every_name_that_a_portal_uses_is_understood(
    hass: HomeAssistant, simulator: PortalSimulator, hass_client: ClientSessionGenerator, set_up: SetUp
) -> None:
    """All names and values of the simulated portal's answers are seen but for ids and names."""
    found = await diagnostics_of(hass, hass_client, await set_up())
    answers = [each for each in found["answers"] if "login" not in each["path"]]
    hidden = {
        text
        for text in strings([[each["data"], each["question"]] for each in answers])
        if text.partition("-")[0] in {"text", "key", "number as text", "date as text"} or "characters)" in text
    }
    # The serial numbers of loggers, which are no inverters.
    assert {text.partition("-")[0] for text in hidden} <= {"id"}


# Around the diagnostics


async def test_system_health_tells_nothing_of_a_person(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp
) -> None:
    spoil(simulator, lambda value, _: NAMES.get(value, value) if value.__hash__ else value)
    assert await async_setup_component(hass, "system_health", {})
    await set_up()
    await set_up("farm@example.com")
    info = {
        name: await value if isinstance(value, Awaitable) else value
        for name, value in (await get_info(hass))[DOMAIN].items()
    }
    text = str(info)
    for private in (
        *NAMES.values(),
        "example.com",
        "127.0.0.1",
        HOUSE.station_id,
        *(each.serial for each in FARM.inverters),
    ):
        assert private not in text
    assert info["can_reach_portal"] == "ok"
