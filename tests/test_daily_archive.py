"""The blueprint of the daily archive, in a real Home Assistant."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import date, datetime, timedelta
from pathlib import Path
import shutil
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.automation import DOMAIN as AUTOMATION
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util import yaml as yaml_util
import pytest
from pytest_homeassistant_custom_component.common import async_fire_time_changed

from custom_components.mtec.portal import rate_limiter
from tests.conftest import FAMILY, SetUp
from tests.home import device
from tests.portal_simulator import BARN, FARM, HOUSE, PortalSimulator
from tests.usage import agree, bars, curve, days, months, parsed, years

BERLIN = ZoneInfo("Europe/Berlin")
BLUEPRINT = Path(__file__).parent.parent / "blueprints" / "automation" / "mtec" / "daily_archive.yaml"

type RunAt = Callable[[str], Awaitable[None]]
type Archive = Callable[..., Awaitable[None]]


@pytest.fixture
def generation() -> int:
    """The generation of the API that the portal speaks."""
    return 1


@pytest.fixture
async def folder(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Let Home Assistant have the blueprint, and a folder on a network storage."""
    freezer.move_to("2026-06-29T10:00:00Z")
    for name in ("REQUESTS_A_MINUTE", "BACKGROUND_REQUESTS_A_MINUTE"):
        monkeypatch.setattr(rate_limiter, name, 100_000)
    await hass.config.async_set_time_zone("Europe/Berlin")
    hass.config.config_dir = str(tmp_path / "config")
    target = tmp_path / "config" / "blueprints" / "automation" / "mtec"
    target.mkdir(parents=True)
    shutil.copy(BLUEPRINT, target)
    (tmp_path / "nas").mkdir()
    hass.config.allowlist_external_dirs = {str(tmp_path / "nas")}
    return tmp_path / "nas" / "mtec"


@pytest.fixture
async def archive(hass: HomeAssistant) -> AsyncGenerator[Archive]:
    """Set up automations from the blueprint, each with its inputs."""

    async def set_up_automations(*inputs: dict[str, Any]) -> None:
        automations = [
            {
                "id": str(number),
                "alias": f"Archive {number}",
                "use_blueprint": {"path": "mtec/daily_archive.yaml", "input": each},
            }
            for number, each in enumerate(inputs)
        ]
        assert await async_setup_component(hass, AUTOMATION, {AUTOMATION: automations})
        await hass.async_block_till_done()
        assert len(hass.states.async_entity_ids(AUTOMATION)) == len(inputs)

    yield set_up_automations
    if hass.services.has_service(AUTOMATION, "turn_off"):
        await hass.services.async_call(AUTOMATION, "turn_off", {"entity_id": "all"}, blocking=True)


@pytest.fixture
def run_at(hass: HomeAssistant, freezer: FrozenDateTimeFactory, simulator: PortalSimulator) -> RunAt:
    """Let a day's run come; those between it and the one before are missed."""

    async def come(day: str) -> None:
        moment = datetime.fromisoformat(f"{day}T00:30:01").replace(tzinfo=BERLIN)
        await switch("turn_off")
        freezer.move_to(moment - timedelta(minutes=1))
        await switch("turn_on")
        freezer.move_to(moment)
        simulator.clock.set(moment)
        async_fire_time_changed(hass, moment)
        await hass.async_block_till_done(wait_background_tasks=True)

    async def switch(action: str) -> None:
        await hass.services.async_call(AUTOMATION, action, {"entity_id": "all"}, blocking=True)

    return come


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def last_day(path: Path) -> str:
    """The date of the last row."""
    return path.read_text(encoding="utf-8").splitlines()[-1][:10]


async def test_archive_is_the_plant(
    hass: HomeAssistant, folder: Path, set_up: SetUp, archive: Archive, run_at: RunAt
) -> None:
    """On the second of a month: last month is complete, this one has begun."""
    await set_up(FAMILY)
    await archive({"folder": f"{folder}/", "decimal": ",", "delimiter": "|"})
    await run_at("2026-07-02")
    assert names(folder) == [
        "2026-06_day.csv",
        "2026-06_month.csv",
        "2026-07_day.csv",
        "2026-07_month.csv",
        "2026_year.csv",
        "lifetime.csv",
    ]
    now = datetime(2026, 7, 2, 0, 30, 1, tzinfo=BERLIN)
    for name, bounds in (
        ("2026-06_month", days(date(2026, 6, 1), date(2026, 6, 30))),
        ("2026-07_month", days(date(2026, 7, 1), date(2026, 7, 2))),
        ("2026_year", months(date(2026, 1, 1), date(2026, 7, 1))),
        ("lifetime", years(date(2023, 1, 1), date(2026, 1, 1))),
    ):
        expected = bars(HOUSE, bounds, now)
        agree(list(expected[0]), parsed((folder / f"{name}.csv").read_text(encoding="utf-8"), ",", "|"), expected)
    for name, start, end in (
        ("2026-06_day", date(2026, 6, 1), date(2026, 6, 30)),
        ("2026-07_day", date(2026, 7, 1), date(2026, 7, 2)),
    ):
        expected = curve(HOUSE, start, end, now)
        agree(list(expected[0]), parsed((folder / f"{name}.csv").read_text(encoding="utf-8"), ",", "|"), expected)


async def test_missed_runs_are_filled_in(
    hass: HomeAssistant, folder: Path, set_up: SetUp, archive: Archive, run_at: RunAt
) -> None:
    """Whole months are missed, over the turn of a year."""
    await set_up(FAMILY)
    await archive({"folder": str(folder)})
    await run_at("2026-11-20")
    assert names(folder) == ["2026-11_day.csv", "2026-11_month.csv", "2026_year.csv", "lifetime.csv"]
    assert last_day(folder / "2026-11_day.csv") == "2026-11-20"
    assert last_day(folder / "2026_year.csv") == "2026-11-01"

    await run_at("2027-01-15")
    assert names(folder) == [
        f"{month}_{type_}.csv" for month in ("2026-11", "2026-12") for type_ in ("day", "month")
    ] + ["2026_year.csv"] + [f"2027-01_{type_}.csv" for type_ in ("day", "month")] + ["2027_year.csv", "lifetime.csv"]
    assert last_day(folder / "2026-11_day.csv") == last_day(folder / "2026-11_month.csv") == "2026-11-30"
    assert last_day(folder / "2026-12_day.csv") == "2026-12-31"
    assert last_day(folder / "2026_year.csv") == "2026-12-01"
    assert last_day(folder / "2027_year.csv") == "2027-01-01"

    written = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    await run_at("2027-01-16")
    changed = {path.name for path in folder.iterdir() if path.stat().st_mtime_ns != written[path.name]}
    assert changed == {"2027-01_day.csv", "2027-01_month.csv", "2027_year.csv", "lifetime.csv"}


async def test_run_that_failed_is_made_up_for(
    hass: HomeAssistant,
    simulator: PortalSimulator,
    folder: Path,
    set_up: SetUp,
    archive: Archive,
    run_at: RunAt,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The folder is away on the last day of a month and the first of the next."""
    await set_up(FAMILY)
    await archive({"folder": str(folder)})
    await run_at("2026-08-30")
    folder.rename(folder.with_name("away"))
    folder.write_text("not a folder", encoding="utf-8")
    await run_at("2026-08-31")
    await run_at("2026-09-01")
    assert "could not be written" in caplog.text
    folder.unlink()
    folder.with_name("away").rename(folder)
    assert last_day(folder / "2026-08_day.csv") == "2026-08-30"
    await run_at("2026-09-02")
    assert last_day(folder / "2026-08_day.csv") == "2026-08-31"
    assert last_day(folder / "2026-09_day.csv") == "2026-09-02"


async def test_stations_share_a_folder(
    hass: HomeAssistant, folder: Path, set_up: SetUp, archive: Archive, run_at: RunAt
) -> None:
    await set_up()
    stations = [device(hass, plant.station_id) for plant in (BARN, FARM)]
    await archive(*({"folder": str(folder), "station": each} for each in stations))
    await run_at("2026-06-30")
    assert names(folder) == [
        f"{station}_{name}.csv"
        for station in ("hof_lindner", "stall_sud_muller")
        for name in ("2026-06_day", "2026-06_month", "2026_year", "lifetime")
    ]
    for station, plant in (("hof_lindner", FARM), ("stall_sud_muller", BARN)):
        expected = bars(
            plant, years(date(2023, 1, 1), date(2026, 1, 1)), datetime(2026, 6, 30, 0, 30, 1, tzinfo=BERLIN)
        )
        text = (folder / f"{station}_lifetime.csv").read_text(encoding="utf-8")
        agree(list(expected[0]), parsed(text), expected)


async def test_without_a_folder_and_for_a_young_plant(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    simulator: PortalSimulator,
    folder: Path,
    set_up: SetUp,
    archive: Archive,
    run_at: RunAt,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The month before the plant was installed has no files, and is no reason to stop."""
    installed = datetime(2023, 9, 5, 12, tzinfo=BERLIN)
    simulator.clock.set(installed)
    freezer.move_to(installed)
    await set_up("barn@example.com")
    await archive({})
    await run_at("2023-09-06")
    folder = Path(hass.config.path("mtec"))
    assert names(folder) == ["2023-09_day.csv", "2023-09_month.csv", "2023_year.csv", "lifetime.csv"]
    assert "has no usage before 2023-09-05" in caplog.text
    await run_at("2023-10-02")
    assert last_day(folder / "2023-09_day.csv") == "2023-09-30"


def test_readme_links_to_the_blueprint() -> None:
    readme = Path(__file__).parent.parent / "README.md"
    if not readme.exists():
        pytest.skip("There is no README yet")
    source = yaml_util.load_yaml(str(BLUEPRINT))["blueprint"]["source_url"]  # type: ignore[index, call-overload]
    if "blueprint_import" not in (text := readme.read_text(encoding="utf-8")):
        pytest.skip("The README does not have it yet")
    assert quote(str(source), safe="") in text
