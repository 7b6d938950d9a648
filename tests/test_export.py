"""The actions: usage of the simulated plants as CSV and as a response, and the files it is written to."""

import asyncio
from collections.abc import Callable, Iterator
import csv
from datetime import date, datetime, timedelta
import io
import json
from pathlib import Path
import resource
import signal
import subprocess
import sys
import threading
from typing import Any

from homeassistant.components.persistent_notification import _async_get_or_create_notifications
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.service import async_get_all_descriptions
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
import voluptuous as vol

from custom_components.mtec import retry as retry_module
from custom_components.mtec.const import DOMAIN
from custom_components.mtec.errors import EXCEPTION_KEYS
from custom_components.mtec.export import exporter as export_module, progress as progress_module
from custom_components.mtec.export.file import AtomicFile
from custom_components.mtec.export.table import CsvFormat, csv_rows, csv_text, record
from custom_components.mtec.export.usage import RangeProblem
from custom_components.mtec.models import CurvePoint
from custom_components.mtec.portal import rate_limiter
from custom_components.mtec.responses import MOST_DAYS_LISTED
from tests.conftest import FAMILY, NOON, SetUp
from tests.home import device
from tests.nulls import Nulls
from tests.portal_simulator import BARN, FARM, HOUSE, PlantDescription, PortalSimulator, plant_of
from tests.usage import agree, bars, curve, days, months, parsed, years

PLANTS = pytest.mark.parametrize("plant", [HOUSE, BARN, FARM], ids=["house", "barn", "farm"])
TODAY = date(2026, 6, 15)

type Call = Callable[..., Any]

BOTH_GENERATIONS = pytest.mark.parametrize("generation", [1, 2], indirect=True, ids=["generation1", "generation2"])


@pytest.fixture
def generation(request: pytest.FixtureRequest) -> int:
    """The generation of the API that the portal speaks: 1 where a test does not want both."""
    number: int = getattr(request, "param", 1)
    return number


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tests ask more often than a portal would like."""
    for name in ("REQUESTS_A_MINUTE", "BACKGROUND_REQUESTS_A_MINUTE"):
        monkeypatch.setattr(rate_limiter, name, 100_000)
    monkeypatch.setattr(rate_limiter, "FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(retry_module, "RETRY_PAUSES", (0.01, 0.01, 0.01))


@pytest.fixture(autouse=True)
async def media(hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let Home Assistant live in the plants' time zone at noon, in a folder of its own, with a folder for media."""
    # Time that stands still would stop the event loop's clock, too.
    monkeypatch.setattr(dt_util, "now", lambda zone=None: NOON.astimezone(zone or HOUSE.zone))
    await hass.config.async_set_time_zone("Europe/Berlin")
    hass.config.config_dir = str(tmp_path / "config")
    folder = tmp_path / "media"
    for each in (tmp_path / "config", folder):
        each.mkdir()
    hass.config.allowlist_external_dirs = {str(folder)}
    return folder


@pytest.fixture
def call(hass: HomeAssistant) -> Call:
    """Call an action and return its response."""

    async def call_action(action: str, **data: Any) -> Any:
        return await hass.services.async_call(DOMAIN, action, data, blocking=True, return_response=True)

    return call_action


EXPECTED: dict[str, Callable[[PlantDescription, date, date], list[dict[str, Any]]]] = {
    "day": curve,
    "month": lambda plant, start, end: bars(plant, days(start, end)),
    "year": lambda plant, start, end: bars(plant, months(start, end)),
    "lifetime": lambda plant, start, end: bars(plant, years(start, end)),
}

RANGES: list[tuple[str, str, date, date]] = [
    ("day", "clocks go forward", date(2026, 3, 28), date(2026, 3, 30)),
    ("day", "clocks go back", date(2025, 10, 25), date(2025, 10, 27)),
    ("day", "leap day", date(2024, 2, 28), date(2024, 3, 1)),
    ("day", "new year", date(2025, 12, 31), date(2026, 1, 1)),
    ("day", "today", date(2026, 6, 14), TODAY),
    ("month", "clocks go forward", date(2026, 3, 27), date(2026, 4, 2)),
    ("month", "clocks go back", date(2025, 10, 25), date(2025, 10, 27)),
    ("month", "leap day", date(2024, 2, 10), date(2024, 3, 5)),
    ("month", "new year", date(2025, 12, 20), date(2026, 1, 10)),
    ("month", "running", date(2026, 5, 30), TODAY),
    ("month", "to come", date(2026, 6, 1), date(2026, 6, 30)),
    ("year", "new year", date(2024, 11, 15), date(2025, 2, 3)),
    ("year", "running", date(2026, 2, 1), TODAY),
    ("year", "leap year", date(2024, 1, 1), date(2024, 12, 31)),
    ("lifetime", "all", date(2023, 1, 1), TODAY),
    ("lifetime", "some", date(2024, 3, 3), date(2025, 5, 5)),
]


@BOTH_GENERATIONS
@PLANTS
@pytest.mark.parametrize("type_", EXPECTED)
async def test_export_is_the_plant(
    hass: HomeAssistant, set_up: SetUp, call: Call, media: Path, plant: PlantDescription, type_: str
) -> None:
    """Over changes of the clocks, a leap day and new year, for what is still running, and for a young plant."""
    await set_up()
    young = (type_, "young", plant.installed - timedelta(days=40), plant.installed + timedelta(days=1))
    for _, about, start, end in [*(each for each in RANGES if each[0] == type_), young]:
        asked = {"device": device(hass, plant.station_id), "type": type_, "start": start, "end": end}
        expected = EXPECTED[type_](plant, start, end)
        response = await call("export_csv", **asked)
        columns = list(expected[0])
        assert response["csv"].splitlines()[0] == ";".join(columns), about
        agree(columns, parsed(response["csv"]), expected)
        dates = [row[columns[0]][:10] for row in expected]
        assert response["path"] is None
        assert (response["rows"], response["first"], response["last"]) == (len(expected), dates[0], dates[-1]), about
        wanted = {"day": days, "month": days, "year": months, "lifetime": years}[type_](start, min(end, TODAY))[:-1]
        missing = [day.isoformat() for day in wanted if day.isoformat() not in dates]
        assert response["days_without_data"] == missing, about
        assert response["days_without_data_count"] == len(missing)
        assert bool(missing) == (about == "young" and type_ != "lifetime") or type_ == "lifetime"

        usage = await call("get_usage", **asked)
        agree(columns, usage["rows"], expected)
        assert json.loads(json.dumps(usage)) == usage


async def test_known_columns(hass: HomeAssistant, set_up: SetUp, call: Call) -> None:
    """The columns of the known export tool, zeros that it drops, and the signs."""
    await set_up(FAMILY)
    night = await call("export_csv", type="day", start="2026-06-14", end="2026-06-14")
    header, first, *_ = night["csv"].splitlines()
    assert header == "timestamp;load;grid;PV;battery;SOC"
    assert first.split(";")[0] == "2026-06-14T00:00:00+02:00"
    assert first.split(";")[3] == "0"
    month = await call("export_csv", type="month", start="2026-06-14", end="2026-06-14")
    assert month["csv"].splitlines()[0] == "date;load;pv_production;battery_load;battery_feed;grid_load;grid_feed"
    [row] = parsed(month["csv"])
    energies = plant_of(HOUSE, 1).day(date(2026, 6, 14))
    assert row["battery_load"] == pytest.approx(energies.discharge, abs=0.0051)
    assert row["battery_feed"] == pytest.approx(energies.charge, abs=0.0051)


@pytest.mark.parametrize(("decimal", "delimiter"), [(".", ";"), (",", ";"), (".", ","), (",", "\t"), (".", "|")])
async def test_separators(hass: HomeAssistant, set_up: SetUp, call: Call, decimal: str, delimiter: str) -> None:
    await set_up(FAMILY)
    response = await call(
        "export_csv", type="month", start="2026-06-01", end="2026-06-03", decimal=decimal, delimiter=delimiter
    )
    assert '"' not in response["csv"]
    rows = parsed(response["csv"], decimal, delimiter)
    agree(list(rows[0]), rows, EXPECTED["month"](HOUSE, date(2026, 6, 1), date(2026, 6, 3)))


async def test_separators_by_name(hass: HomeAssistant, set_up: SetUp, call: Call) -> None:
    """As the action offers them."""
    await set_up(FAMILY)
    month = {"type": "month", "start": "2026-06-01", "end": "2026-06-03"}
    plain = (await call("export_csv", **month))["csv"]
    for name, character in (("semicolon", ";"), ("comma", ","), ("tab", "\t"), ("pipe", "|")):
        response = await call("export_csv", **month, decimal="point", delimiter=name)
        assert response["csv"] == plain.replace(";", character)
    response = await call("export_csv", **month, decimal="comma", delimiter="tab")
    assert response["csv"] == plain.replace(".", ",").replace(";", "\t")
    await fails(call, "same_separators", **month, decimal="comma", delimiter="comma")


async def test_timestamps_that_spreadsheets_read(hass: HomeAssistant, set_up: SetUp, call: Call) -> None:
    await set_up(FAMILY)
    day = {"type": "day", "start": "2026-06-01", "end": "2026-06-01"}
    lines = (await call("export_csv", **day, timestamps="spreadsheet"))["csv"].splitlines()
    assert [line.split(";")[0] for line in lines[:3]] == ["timestamp", "2026-06-01 00:00", "2026-06-01 00:05"]
    iso = (await call("export_csv", **day))["csv"].splitlines()
    assert [line.split(";")[0] for line in iso[:3]] == [
        "timestamp",
        "2026-06-01T00:00:00+02:00",
        "2026-06-01T00:05:00+02:00",
    ]
    assert [line.split(";")[1:] for line in lines] == [line.split(";")[1:] for line in iso]
    month = {"type": "month", "start": "2026-06-01", "end": "2026-06-02"}
    text = (await call("export_csv", **month, timestamps="spreadsheet"))["csv"]
    assert text == (await call("export_csv", **month))["csv"]


async def test_only_stations_are_offered(hass: HomeAssistant, set_up: SetUp) -> None:
    await set_up()
    descriptions = (await async_get_all_descriptions(hass))[DOMAIN]
    for action in ("export_csv", "get_usage", "import_history"):
        [wanted] = descriptions[action]["fields"]["device"]["selector"]["device"]["filter"]
        assert wanted["integration"] == DOMAIN
        offered = {device.name for device in dr.async_get(hass).devices if device.model == wanted["model"]}
        assert offered == {HOUSE.name, BARN.name, FARM.name}


@BOTH_GENERATIONS
@pytest.mark.parametrize(("day", "hours"), [(date(2026, 6, 14), 24), (date(2026, 3, 29), 23), (date(2025, 10, 26), 25)])
async def test_summary_is_that_of_the_local_day(
    hass: HomeAssistant, set_up: SetUp, call: Call, day: date, hours: int
) -> None:
    await set_up(FAMILY)
    usage = await call("get_usage", type="day", start=day, end=day)
    energies = plant_of(HOUSE, 1).day(day)
    assert len(usage["rows"]) == hours * 12
    assert usage["summary"] == {
        name: pytest.approx(value, abs=0.0151)
        for name, value in {
            "bought": energies.import_,
            "sold": energies.export,
            "used": energies.consumption,
            "self_used": energies.consumption - energies.import_,
            "total": energies.pv,
        }.items()
    }
    assert usage["summaries"] == [{"date": day.isoformat(), **usage["summary"]}]


async def test_summary_of_several_days(hass: HomeAssistant, set_up: SetUp, call: Call) -> None:
    await set_up()
    asked = {"type": "day", "start": "2026-06-12", "end": "2026-06-14"}
    usage = await call("get_usage", device=device(hass, HOUSE.station_id), **asked)
    assert [each["date"] for each in usage["summaries"]] == ["2026-06-12", "2026-06-13", "2026-06-14"]
    assert usage["summary"]["total"] == pytest.approx(sum(each["total"] for each in usage["summaries"]))
    barn = await call("get_usage", device=device(hass, BARN.station_id), **asked)
    assert barn["summary"]["bought"] is None
    assert barn["summary"]["total"] > 0


async def test_end_is_today_and_lifetime_needs_no_start(hass: HomeAssistant, set_up: SetUp, call: Call) -> None:
    await set_up(FAMILY)
    assert (await call("get_usage", type="month", start="2026-06-10"))["last"] == "2026-06-15"
    lifetime = await call("get_usage", type="lifetime")
    assert [row["date"] for row in lifetime["rows"]] == ["2023-01-01", "2024-01-01", "2025-01-01", "2026-01-01"]


async def test_what_was_before_the_plant_is_not_asked_for(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp, call: Call
) -> None:
    await set_up(FAMILY)
    simulator.requests.clear()
    response = await call("export_csv", type="day", start="1999-01-01", end="2023-04-19", filename="usage.csv")
    assert response["rows"] == 2 * 288
    assert response["first"] == "2023-04-18"
    assert response["days_without_data_count"] > 8000
    assert len(response["days_without_data"]) == MOST_DAYS_LISTED
    assert len(simulator.requests) == 5


# Which station


async def test_station_is_chosen_by_device_or_account(hass: HomeAssistant, set_up: SetUp, call: Call) -> None:
    family, village = await set_up(FAMILY), await set_up()
    asked = {"type": "lifetime"}
    by_station = await call("get_usage", device=device(hass, FARM.station_id), **asked)
    by_inverter = await call("get_usage", device=device(hass, FARM.inverters[1].serial), **asked)
    assert by_station == by_inverter
    by_account = await call("get_usage", config_entry=family.entry_id, **asked)
    assert by_account["first"] == "2023-01-01"
    for wrong, key in (
        ({}, "several_stations"),
        ({"config_entry": village.entry_id}, "several_stations"),
        ({"device": "nonsense"}, "unknown_device"),
        ({"config_entry": family.entry_id, "device": device(hass, FARM.station_id)}, "unknown_device"),
        ({"config_entry": "nonsense"}, "service_config_entry_not_found"),
    ):
        await fails(call, key, **asked, **wrong)


async def test_other_devices_and_accounts_that_are_not_loaded(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp, call: Call
) -> None:
    entry = await set_up(FAMILY)
    station = device(hass, HOUSE.station_id)
    other = MockConfigEntry(domain="other")
    other.add_to_hass(hass)
    stranger = dr.async_get(hass).async_get_or_create(config_entry_id=other.entry_id, identifiers={("other", "1")})
    await fails(call, "unknown_device", type="lifetime", device=stranger.id)
    await fails(call, "service_config_entry_wrong_domain", type="lifetime", config_entry=other.entry_id)
    await hass.config_entries.async_unload(entry.entry_id)
    await fails(call, "service_config_entry_not_loaded", type="lifetime", device=station)
    await fails(call, "no_account", type="lifetime")


async def test_account_without_stations(hass: HomeAssistant, set_up: SetUp, call: Call) -> None:
    await set_up("empty@example.com")
    await fails(call, "no_station", type="lifetime")


async def fails(call: Call, key: str, action: str = "export_csv", **data: Any) -> HomeAssistantError:
    """Call an action, and return the error with that translation key."""
    with pytest.raises(HomeAssistantError) as raised:
        await call(action, **data)
    assert raised.value.translation_key == key
    return raised.value


# Bad ranges and files


BAD_RANGES: list[tuple[dict[str, str], str]] = [
    ({"type": "day", "start": "2026-06-10", "end": "2026-06-09"}, "start_after_end"),
    ({"type": "day", "start": "2026-06-16"}, "start_in_future"),
    ({"type": "year", "start": "2026-07-01", "end": "2026-12-31"}, "start_in_future"),
    ({"type": "day", "start": "2020-01-01", "end": "2023-04-17"}, "end_before_station"),
    ({"type": "month", "start": "2020-01-01", "end": "2023-04-17"}, "end_before_station"),
    ({"type": "year", "start": "2020-01-01", "end": "2023-03-31"}, "end_before_station"),
    ({"type": "lifetime", "start": "2020-01-01", "end": "2022-12-31"}, "end_before_station"),
    ({"type": "month"}, "start_missing"),
    ({"type": "month", "start": "2026-06-10", "decimal": ",", "delimiter": ","}, "same_separators"),
]


async def test_bad_ranges(hass: HomeAssistant, set_up: SetUp, call: Call, media: Path) -> None:
    await set_up(FAMILY)
    for data, key in BAD_RANGES:
        error = await fails(call, key, filename=str(media / "usage.csv"), **data)
        assert isinstance(error, ServiceValidationError)
        assert "{" not in str(error) and str(error) != key
        assert list(media.iterdir()) == []


@pytest.mark.parametrize(
    "data", [{"type": "week"}, {"type": "day", "start": "soon"}, {"type": "day", "delimiter": "x"}]
)
async def test_nonsense(hass: HomeAssistant, set_up: SetUp, call: Call, data: dict[str, str]) -> None:
    await set_up(FAMILY)
    with pytest.raises(vol.Invalid):
        await call("export_csv", **data)


async def test_response_holds_a_year_of_curves_at_most(hass: HomeAssistant, set_up: SetUp, call: Call) -> None:
    await set_up(FAMILY)
    for action in ("export_csv", "get_usage"):
        await fails(call, "too_long", action, type="day", start="2025-06-14")


LIFE = {"type": "lifetime"}


async def test_file_by_name_is_below_the_configuration(hass: HomeAssistant, set_up: SetUp, call: Call) -> None:
    await set_up(FAMILY)
    response = await call("export_csv", filename="Überblick 2026.csv", **LIFE)
    path = Path(hass.config.path("mtec", "Überblick 2026.csv"))
    assert response["path"] == str(path)
    text = await call("export_csv", **LIFE)
    assert path.read_text(encoding="utf-8") == text["csv"]
    assert "csv" not in response
    assert response["rows"] == text["rows"] == 4
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    # The path of the response is a file name, too.
    assert (await call("export_csv", filename=response["path"], **LIFE))["path"] == str(path)


async def test_file_where_home_assistant_allows_it(hass: HomeAssistant, set_up: SetUp, call: Call, media: Path) -> None:
    await set_up(FAMILY)
    for name in ("usage.csv", "archive/usage.CSV", "archive/../usage.csv", "console.csv", "com10 & NUL's, 100 %.csv"):
        response = await call("export_csv", filename=str(media / name), **LIFE)
        assert response["path"] == str((media / name).resolve())
        assert (media / name).read_text(encoding="utf-8").count("\n") == 5
    await call("export_csv", filename=str(media / "month.csv"), type="month", start="2026-06-01")
    assert (media / "month.csv").read_text(encoding="utf-8").count("\n") == 16


async def test_action_without_a_response(hass: HomeAssistant, set_up: SetUp, media: Path) -> None:
    await set_up(FAMILY)
    data = {"filename": str(media / "usage.csv"), **LIFE}
    await hass.services.async_call(DOMAIN, "export_csv", data, blocking=True)
    assert (media / "usage.csv").exists()


BAD_FILES = [
    ("../usage.csv", "bad_filename"),
    ("folder/usage.csv", "bad_filename"),
    ("..\\usage.csv", "name_not_portable"),
    ("C:\\usage.csv", "name_not_portable"),
    ("C:usage.csv", "name_not_portable"),
    ("con.csv", "name_not_portable"),
    ("NUL.2026.csv", "name_not_portable"),
    ("Com1 .csv", "name_not_portable"),
    ("LPT9.csv", "name_not_portable"),
    *((f"us{character}age.csv", "name_not_portable") for character in '<>:"|?*\\'),
    ("usage.csv ", "bad_filename"),
    ("usage.csv.", "bad_filename"),
    ("us\x1fage.csv", "bad_filename"),
    ("usage.csv/", "bad_filename"),
    ("", "bad_filename"),
    (".", "bad_filename"),
    ("..", "bad_filename"),
    (".csv", "bad_filename"),
    ("usage", "bad_filename"),
    ("secrets.yaml", "bad_filename"),
    ("us\0age.csv", "bad_filename"),
    ("us\nage.csv", "bad_filename"),
    (f"{'ü' * 120}.csv", "bad_filename"),
    ("{media}/us\0age.csv", "bad_filename"),
    ("{media}/usage.txt", "bad_filename"),
    ("{media}/aux.csv", "name_not_portable"),
    ("{media}/12:30.csv", "name_not_portable"),
    ("/etc/usage.csv", "path_not_allowed"),
    ("{media}/../usage.csv", "path_not_allowed"),
    ("{media}/../media2/usage.csv", "path_not_allowed"),
    ("{media}/way_out/usage.csv", "path_not_allowed"),
    ("{media}/way_out.csv", "path_not_allowed"),
    ("{media}/nowhere.csv", "path_not_allowed"),
    ("{media}/folder.csv", "path_not_allowed"),
    ("{media}/../config/usage.csv", "path_not_allowed"),
    ("{media}/no/such/folder/usage.csv", "file_not_written"),
    ("{media}/file/usage.csv", "file_not_written"),
]


async def test_bad_files(hass: HomeAssistant, set_up: SetUp, call: Call, media: Path, tmp_path: Path) -> None:
    """No file where it does not belong, whatever leads there."""
    for folder in (tmp_path / "media2", tmp_path / "outside", media / "folder.csv"):
        folder.mkdir()
    (media / "file").write_text("", encoding="utf-8")
    (tmp_path / "outside" / "old.csv").write_text("old", encoding="utf-8")
    (media / "way_out").symlink_to(tmp_path / "outside")
    (media / "way_out.csv").symlink_to(tmp_path / "outside" / "old.csv")
    (media / "nowhere.csv").symlink_to(tmp_path / "outside" / "new.csv")
    await set_up(FAMILY)
    before = sorted(tmp_path.rglob("*"))
    for filename, key in BAD_FILES:
        error = await fails(call, key, filename=filename.replace("{media}", str(media)), **LIFE)
        assert "{" not in str(error)
        assert sorted(tmp_path.rglob("*")) == before, filename
    assert (tmp_path / "outside" / "old.csv").read_text(encoding="utf-8") == "old"


async def test_link_by_name_is_replaced_not_followed(
    hass: HomeAssistant, set_up: SetUp, call: Call, tmp_path: Path
) -> None:
    await set_up(FAMILY)
    target = tmp_path / "target"
    target.write_text("old", encoding="utf-8")
    own = Path(hass.config.path("mtec"))
    own.mkdir()
    for link in ("usage.csv", ".usage.csv.part"):
        (own / link).symlink_to(target)
    await call("export_csv", filename="usage.csv", **LIFE)
    assert target.read_text(encoding="utf-8") == "old"
    assert [(each.name, each.is_symlink()) for each in own.iterdir()] == [("usage.csv", False)]


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file can grow beyond 64 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


async def test_full_disk_leaves_the_old_file(
    hass: HomeAssistant, set_up: SetUp, call: Call, media: Path, full_disk: None
) -> None:
    await set_up(FAMILY)
    path = media / "usage.csv"
    path.write_text("old", encoding="utf-8")
    error = await fails(call, "file_not_written", filename=str(path), type="day", start="2026-06-01")
    assert str(path) in str(error)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(media.iterdir()) == [path]
    # What was full is empty again.
    assert (await call("export_csv", filename=str(path), **LIFE))["rows"] == 4


def test_crash_leaves_the_old_file(media: Path) -> None:
    path = media / "usage.csv"
    path.write_text("old", encoding="utf-8")
    code = (
        "import pathlib, sys, time; sys.path.append(sys.argv[1]); from export.file import AtomicFile\n"
        "file = AtomicFile(pathlib.Path(sys.argv[2])); file.open(); file.write('new' * 100_000); print(flush=True)\n"
        "time.sleep(60)"
    )
    package = str(Path(export_module.__file__).parent.parent)
    writer = subprocess.Popen([sys.executable, "-c", code, package, str(path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    writer.kill()
    writer.communicate()
    assert path.read_text(encoding="utf-8") == "old"
    assert len(list(media.iterdir())) == 2
    with AtomicFile(path) as file:
        file.write("new")
    assert path.read_text(encoding="utf-8") == "new"
    assert list(media.iterdir()) == [path]


async def test_portal_that_fails_leaves_the_old_file(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp, call: Call, media: Path
) -> None:
    await set_up(FAMILY)
    path = media / "usage.csv"
    path.write_text("old", encoding="utf-8")
    asked = {"filename": str(path), "type": "month", "start": "2026-01-01"}
    simulator._busy.add("127.0.0.1")
    await fails(call, "portal_busy", **asked)
    simulator._busy.clear()
    station = simulator.accounts[FAMILY].stations.pop()
    error = await fails(call, "portal_response", **asked)
    assert "(code 3010404)" in str(error)
    simulator.accounts[FAMILY].stations.append(station)
    await simulator.__aexit__()
    await fails(call, "portal_unreachable", **asked)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(media.iterdir()) == [path]


@BOTH_GENERATIONS
async def test_passing_trouble_does_not_end_a_long_export(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp, call: Call
) -> None:
    await set_up(FAMILY)
    simulator.delay = 0.002
    export = hass.async_create_task(call("export_csv", type="day", start="2026-06-01"))
    await reach(simulator, 8)
    while "3010107" not in {request.code for request in simulator.requests}:
        simulator._busy.add("127.0.0.1")
        await asyncio.sleep(0.001)
    simulator._busy.clear()
    simulator.expire_tokens()
    assert (await export)["rows"] == 14 * 288 + 145


@pytest.mark.parametrize("fault", ["page", "truncated", "malformed"])
async def test_unreadable_bodies_do_not_end_an_export(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp, call: Call, fault: str
) -> None:
    """One in five answers is a page or damaged: all twenty days are there in the end."""
    await set_up(FAMILY)
    simulator.faults.add(fault, matching="Curve", probability=0.2, seed=3)
    response = await call("export_csv", type="day", start="2026-05-20", end="2026-06-08")
    assert simulator.faults.struck[fault] >= 2
    assert (response["rows"], response["left_out"], response["points_left_out"]) == (20 * 288, [], 0)


async def test_what_stays_unreadable_is_left_out_and_said(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp, call: Call
) -> None:
    """Of curves a day, of months all of its days; if nothing at all can be read it is an error."""
    await set_up(FAMILY)
    simulator.faults.add("malformed", matching="2026-06-02")
    response = await call("get_usage", type="day", start="2026-06-01", end="2026-06-03")
    assert len(response["rows"]) == 2 * 288
    assert (response["left_out"], response["left_out_count"]) == (["2026-06-02"], 1)
    assert response["days_without_data"] == []
    simulator.faults.add("malformed", matching="'date': '2026-05'")
    response = await call("get_usage", type="month", start="2026-05-30", end="2026-06-01")
    assert [row["date"] for row in response["rows"]] == ["2026-06-01"]
    assert response["left_out"] == ["2026-05-30", "2026-05-31"]
    await fails(call, "portal_response", type="day", start="2026-06-02", end="2026-06-02")


@BOTH_GENERATIONS
async def test_month_without_rows_once_is_asked_for_again(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The year's row knows better than one answer of null; if that stays, it is said."""
    await set_up(FAMILY)
    nulls = Nulls(monkeypatch, simulator, "2026-02", 1)
    response = await call("get_usage", type="month", start="2026-02-01", end="2026-02-28")
    assert nulls.left == 0
    assert len(response["rows"]) == 28
    assert (response["days_without_data"], response["contradictions"]) == ([], [])
    nulls.left = 100
    response = await call("get_usage", type="month", start="2026-02-01", end="2026-02-28")
    assert response["rows"] == []
    assert (response["days_without_data_count"], response["contradictions"]) == (28, ["2026-02"])


@BOTH_GENERATIONS
@pytest.mark.parametrize("trouble", ["null", "refused"])
async def test_lifetime_that_is_not_told_is_that_of_the_years(
    hass: HomeAssistant,
    simulator: PortalSimulator,
    set_up: SetUp,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    await set_up(FAMILY)
    known = await call("get_usage", type="lifetime")
    if trouble == "null":
        Nulls(monkeypatch, simulator, "", 100)
    else:
        simulator.faults.add("malformed", matching="'durationType': 4")
        simulator.faults.add("malformed", matching="'durationType': '4'")
    told = await call("get_usage", type="lifetime")
    for expected, found in zip(known["rows"], told["rows"], strict=True):
        # Months and years are rounded each for itself.
        assert found == {
            name: value if name == "date" else pytest.approx(value, abs=0.06) for name, value in expected.items()
        }
    assert told["contradictions"] == ["lifetime"]
    days_ = await call("get_usage", type="month", start="2023-04-01", end="2023-04-30")
    assert days_["rows"][0]["date"] == HOUSE.installed.isoformat()


async def reach(simulator: PortalSimulator, requests: int) -> None:
    """Wait until the simulator has received that many requests more."""
    enough = len(simulator.requests) + requests
    while len(simulator.requests) < enough:
        await asyncio.sleep(0.001)


# Long exports


async def test_unloading_ends_an_export(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp, call: Call, media: Path
) -> None:
    entry = await set_up(FAMILY)
    path = media / "usage.csv"
    path.write_text("old", encoding="utf-8")
    simulator.delay = 0.005
    export = hass.async_create_task(fails(call, "export_cancelled", type="day", start="2025-01-01", filename=str(path)))
    await reach(simulator, 10)
    assert (media / ".usage.csv.part").exists()
    await hass.config_entries.async_unload(entry.entry_id)
    await export
    assert entry.state is ConfigEntryState.NOT_LOADED
    count = len(simulator.requests)
    await asyncio.sleep(0.05)
    assert len(simulator.requests) == count
    assert path.read_text(encoding="utf-8") == "old"
    assert list(media.iterdir()) == [path]


async def test_stopped_caller_ends_the_export(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp, call: Call, media: Path
) -> None:
    await set_up(FAMILY)
    simulator.delay = 0.005
    filename = str(media / "usage.csv")
    export = hass.async_create_task(call("export_csv", type="day", start="2025-01-01", filename=filename))
    await reach(simulator, 10)
    await fails(call, "file_in_use", filename=filename, **LIFE)
    export.cancel()
    with pytest.raises(asyncio.CancelledError):
        await export
    await hass.async_block_till_done(wait_background_tasks=True)
    assert list(media.iterdir()) == []
    await call("export_csv", filename=filename, **LIFE)


@BOTH_GENERATIONS
async def test_polling_goes_first(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp, call: Call, generation: int
) -> None:
    entry = await set_up()
    simulator.delay = 0.002
    export = hass.async_create_task(
        call("export_csv", type="day", start="2026-05-01", device=device(hass, HOUSE.station_id))
    )
    await reach(simulator, 8)
    before = len(simulator.requests)
    await entry.runtime_data.async_refresh()
    polled = [request.path for request in simulator.requests[before:]]
    assert not export.done()
    assert sum(path.endswith(("queryStationCurve", "getGridConnectedData")) for path in polled) <= 1
    # The points of generation 2's inverters are not due again.
    assert len(polled) >= {1: 7, 2: 3}[generation]
    assert (await export)["rows"] == 45 * 288 + 145


@pytest.fixture
def slow(simulator: PortalSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an export last long enough for its progress to be shown."""
    monkeypatch.setattr(progress_module, "SHOW_AFTER", 0.02)
    simulator.delay = 0.002


@pytest.mark.parametrize(
    ("language", "message", "result"),
    [
        ("en", "Export of Haus am See: ", "Export of Haus am See: {path}, {rows} rows"),
        ("de", "Export von Haus am See: ", "Export von Haus am See: {path}, {rows} Zeilen"),
    ],
)
@pytest.mark.parametrize("to_file", [True, False])
async def test_progress_is_shown(
    hass: HomeAssistant,
    set_up: SetUp,
    slow: None,
    call: Call,
    media: Path,
    language: str,
    message: str,
    result: str,
    to_file: bool,
) -> None:
    """With a file it ends as a line that says where it is."""
    hass.config.language = language
    await set_up(FAMILY)
    path = media / "usage.csv"
    file = {"filename": str(path)} if to_file else {}
    export = hass.async_create_task(call("export_csv", type="day", start="2026-05-01", **file))
    notifications = _async_get_or_create_notifications(hass)
    seen = []
    while not export.done():
        seen += [each["message"] for each in notifications.values()]
        await asyncio.sleep(0.001)
    assert len(set(seen)) > 5
    assert all(text.startswith(message) for text in seen)
    seen = [text for text in seen if text.endswith(" %")]
    percents = [int(text.split()[-2]) for text in seen]
    assert percents == sorted(percents)
    rows = (await export)["rows"]
    left = [each["message"] for each in notifications.values()]
    assert left == ([result.format(path=path, rows=rows)] if to_file else [])


async def test_export_that_fails_leaves_no_notification(
    hass: HomeAssistant,
    set_up: SetUp,
    slow: None,
    call: Call,
    media: Path,
) -> None:
    entry = await set_up(FAMILY)
    filename = str(media / "usage.csv")
    export = hass.async_create_task(fails(call, "export_cancelled", type="day", start="2025-01-01", filename=filename))
    notifications = _async_get_or_create_notifications(hass)
    while not notifications:
        await asyncio.sleep(0.001)
    await hass.config_entries.async_unload(entry.entry_id)
    await export
    assert not notifications


async def test_short_exports_show_nothing(hass: HomeAssistant, set_up: SetUp, call: Call) -> None:
    await set_up(FAMILY)
    notifications = _async_get_or_create_notifications(hass)
    await call("export_csv", type="day", start="2026-06-01")
    assert not notifications


# The table


def test_no_cell_is_a_formula() -> None:
    nasty = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", 'Stall; "Süd"/Müller', "plain", ""]
    text = csv_text([nasty], CsvFormat())
    [read] = csv.reader(io.StringIO(text), delimiter=";")
    assert read == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "'\r=1", 'Stall; "Süd"/Müller', "plain", ""]


def test_numbers() -> None:
    """Zeros stay, nothing is an empty cell, no number has an exponent or a negative zero."""
    start = datetime(2026, 6, 14, tzinfo=HOUSE.zone)
    numbers: list[float | None] = [0.0, -0.0, 1000.9999999999999, -1e-9, None, 1234567.891, -1500.0]
    cells = []
    for number in numbers:
        point = CurvePoint(
            start=start,
            consumption_power=None,
            grid_power=None,
            pv_power=number,
            battery_power=None,
            state_of_charge=None,
        )
        cells.append(csv_rows([point], CsvFormat(decimal=",")).split(";")[3])
    assert cells == ["0", "0", "1,001", "0", "", "1234,567891", "-1,5"]


def test_response_and_csv_have_the_same_numbers() -> None:
    """A row of a response has numbers, with the rounding of the CSV."""
    point = CurvePoint(
        start=datetime(2026, 6, 14, tzinfo=HOUSE.zone),
        consumption_power=1000.9999999999999,
        grid_power=-1500.0,
        pv_power=None,
        battery_power=0.0,
        state_of_charge=55.5,
    )
    assert record(point) == {
        "timestamp": "2026-06-14T00:00:00+02:00",
        "load": 1.001,
        "grid": -1.5,
        "PV": None,
        "battery": 0.0,
        "SOC": 55.5,
    }
    line = csv_rows([point], CsvFormat(delimiter=","))
    assert line == "2026-06-14T00:00:00+02:00,1.001,-1.5,,0,55.5\n"


async def test_rows_are_formatted_outside_of_the_event_loop(
    hass: HomeAssistant, set_up: SetUp, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_up(FAMILY)
    threads: list[int] = []

    def watched(rows: Any, csv_format: CsvFormat) -> str:
        threads.append(threading.get_ident())
        return csv_rows(rows, csv_format)

    monkeypatch.setattr(export_module, "csv_rows", watched)
    await call("export_csv", type="day", start="2026-06-14", end="2026-06-14")
    await call("export_csv", type="day", start="2026-06-14", end="2026-06-14", filename="usage.csv")
    assert threads and threading.get_ident() not in threads


# What people read


def fields_and_sections(described: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Return the names of an action's fields, those in sections too, and of its sections."""
    sections = {name for name, field in described.items() if "fields" in field}
    inner = {name for section in sections for name in described[section]["fields"]}
    return inner | (described.keys() - sections), sections


async def test_every_field_and_error_is_translated(hass: HomeAssistant, set_up: SetUp) -> None:
    await set_up(FAMILY)
    descriptions = (await async_get_all_descriptions(hass))[DOMAIN]
    folder = Path(export_module.__file__).parent.parent
    english, german = (
        json.loads((folder / "translations" / f"{language}.json").read_text(encoding="utf-8"))
        for language in ("en", "de")
    )
    icons = json.loads((folder / "icons.json").read_bytes())
    for name in ("export_csv", "get_usage"):
        assert name in icons["services"]
        for texts in (english, german):
            fields, sections = fields_and_sections(descriptions[name]["fields"])
            assert texts["services"][name]["fields"].keys() == fields
            assert texts["services"][name].get("sections", {}).keys() == sections
    assert english["exceptions"].keys() == german["exceptions"].keys()
    for key, text in english["exceptions"].items():
        placeholders = {part.split("}")[0] for part in text["message"].split("{")[1:]}
        assert placeholders == {part.split("}")[0] for part in german["exceptions"][key]["message"].split("{")[1:]}
    for problem in RangeProblem:
        assert problem in english["exceptions"]
    for key in EXCEPTION_KEYS.values():
        assert key in english["exceptions"]
