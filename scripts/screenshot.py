"""Takes the pictures in docs from the running demo."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
import contextlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
import json
import os
from pathlib import Path
import shutil
import sys
from typing import Any

from playwright.async_api import Error, async_playwright  # type: ignore[import-not-found]

from scripts.demo_house import (
    CHECKOUT,
    CORE_CONFIG,
    DOMAIN,
    PATH,
    Demo,
    DemoError,
    act,
    add_dashboard,
    check_inverter,
    demo_house,
    exit_code,
    fill_energy_dashboard,
    state_folder,
    wait_for_values,
)
from tests.portal_simulator import HOUSE

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WORDS = json.loads((CHECKOUT / "custom_components" / DOMAIN / "translations" / "en.json").read_text(encoding="utf-8"))
SIZE = {"width": 1200, "height": 900}
SCALE = 1.5
# What the portal tells of today is of no use in a home where it is another day.
NOON = datetime.now(HOUSE.zone).replace(hour=12, minute=30)
MORNING = datetime(2026, 6, 16, 9, 42, tzinfo=HOUSE.zone)
EVENING = MORNING.replace(hour=19, minute=12)
"""A sunny day, on which the battery is half full in the morning."""
FIRST_DAY = date(2025, 1, 1)
FAKETIME = ("/usr/lib", "/usr/local/lib", "/opt/homebrew/lib")


def find_browser() -> str:
    """Find the program of a browser on this machine."""
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    if not found:
        raise DemoError(f"This needs a browser, and this machine has none. Install one of {', '.join(BROWSERS)}.")
    return found[0]


@contextlib.asynccontextmanager
async def browser_page(demo: Demo, browser_path: str) -> AsyncIterator[Any]:
    """Open a browser in which the demo's user is logged in."""
    tokens = {**demo.tokens, "hassUrl": demo.home, "clientId": f"{demo.home}/", "expires": 2**53 - 1}
    async with async_playwright() as playwright:
        state = str(demo.log.parent)
        browser = await playwright.chromium.launch(
            executable_path=browser_path,
            args=BROWSER_OPTIONS,
            env={**os.environ, "XDG_CONFIG_HOME": state, "XDG_CACHE_HOME": state},
        )
        page = await browser.new_page(
            viewport=SIZE,
            device_scale_factor=SCALE,
            color_scheme="light",
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id=CORE_CONFIG["time_zone"],
        )
        page.set_default_timeout(120_000)  # some machines are slow
        await page.add_init_script(f"localStorage.hassTokens = {json.dumps(json.dumps(tokens))}")
        yield page
        await browser.close()


def living_at(moment: datetime) -> dict[str, str]:
    """Return the environment in which Home Assistant takes a moment for now."""
    found = sorted(path for folder in FAKETIME for path in Path(folder).rglob("libfaketime*1*") if path.is_file())
    if not found:
        raise DemoError("This needs the library faketime, and this machine has none. Install the package faketime.")
    local = moment.astimezone(HOUSE.zone)
    # Waiting takes its usual time.
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME": f"@{local:%Y-%m-%d %H:%M:%S}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "TZ": str(HOUSE.zone),
    }


async def device(demo: Demo, page: Any) -> None:
    """Show the page of an inverter that is read in the network."""
    devices = await demo.command("config/device_registry/list")
    [inverter] = [each["id"] for each in devices if each["serial_number"] == HOUSE.inverters[0].serial]
    await page.set_viewport_size({**SIZE, "height": 1200})
    await page.goto(f"{demo.home}/config/devices/device/{inverter}")
    await page.get_by_text("Work status", exact=True).wait_for()


async def set_up(demo: Demo, page: Any) -> None:
    """Show the set-up dialog where one signs in."""
    steps = WORDS["config"]["step"]
    await page.goto(f"{demo.home}/config/integrations/dashboard/add?domain={DOMAIN}")
    await page.get_by_role("button", name="OK").click()
    await page.get_by_text(steps["user"]["menu_options"]["account"]).click()
    await page.locator("input[type=email]").fill("family@example.com")
    await page.mouse.move(0, 0)


async def energy_dialog(demo: Demo, page: Any) -> None:
    """Show the dialog that sets up the Energy dashboard."""
    await wait_for_values(demo)
    steps = WORDS["options"]["step"]
    await page.goto(f"{demo.home}/config/integrations/integration/{DOMAIN}")
    await page.get_by_label("Configure", exact=True).first.click()
    await page.get_by_text(steps["init"]["menu_options"]["energy_dashboard"], exact=True).click()
    await page.get_by_text(steps["energy_dashboard"]["data"]["import_price"]).first.wait_for()
    await page.mouse.move(0, 0)


async def furnish(demo: Demo, *, past: bool) -> None:
    """Give the home its dashboards and, if wanted, some of a plant's past, which takes some minutes."""
    await wait_for_values(demo)
    await check_inverter(demo)
    await fill_energy_dashboard(demo)
    await add_dashboard(demo)
    if past:
        yesterday = EVENING.date() - timedelta(days=1)
        await act(demo, "import_history", resolution="hours", start=yesterday.isoformat())
        await act(demo, "import_history", resolution="days", start=FIRST_DAY.isoformat())


async def energy(demo: Demo, page: Any) -> None:
    """Show the Energy dashboard of the year before."""
    await page.goto(f"{demo.home}/energy/electricity")
    period = page.locator("hui-energy-period-selector")
    await period.locator("ha-date-range-picker").click()
    await page.get_by_text("This year", exact=True).click()
    await period.get_by_label("Previous").click()
    await page.wait_for_timeout(15_000)  # a year of data takes its time
    await page.mouse.move(0, 0)


def view(path: str, height: int, moment: datetime) -> Callable[[Demo, Any], Awaitable[None]]:
    """Return what shows a view of our dashboard."""

    async def show(demo: Demo, page: Any) -> None:
        # Its curves go until now.
        await page.clock.set_fixed_time(moment + timedelta(minutes=15))
        await page.set_viewport_size({"width": 1440, "height": height})
        await page.goto(f"{demo.home}/{PATH}/{path}")
        await page.locator("hui-sections-view ha-card").first.wait_for()
        await page.wait_for_timeout(4000)

    return show


@dataclass(frozen=True)
class Scene:
    """A demo that pictures are taken of: when it is there, and whether it has an account, dashboards, and a past."""

    moment: datetime
    account: bool = True
    dashboards: bool = True
    past: bool = False


PICTURES: dict[str, tuple[Scene, Callable[[Demo, Any], Awaitable[None]]]] = {
    "set-up": (Scene(MORNING, account=False, dashboards=False), set_up),
    "energy-dialog": (Scene(MORNING, dashboards=False), energy_dialog),
    "device": (Scene(MORNING), device),
    "dashboard-now": (Scene(MORNING), view("now", 1000, MORNING)),
    "dashboard-today": (Scene(EVENING, past=True), view("today", 1300, EVENING)),
    "dashboard-years": (Scene(EVENING, past=True), view("years", 1300, EVENING)),
    "energy": (Scene(EVENING, past=True), energy),
}
"""The scene of each picture, and what brings the browser there."""


async def take(scene: Scene, names: Sequence[str]) -> None:
    """Start a demo and take pictures of it."""
    browser = find_browser()
    options, environment = ("--now", scene.moment.isoformat()), living_at(scene.moment)
    with state_folder("screenshot") as folder:
        async with demo_house(
            folder, account=scene.account, simulator_options=options, environment=environment
        ) as demo:
            if scene.dashboards:
                await furnish(demo, past=scene.past)
            for name in names:
                async with browser_page(demo, browser) as page:
                    await shoot(demo, page, name)


async def shoot(demo: Demo, page: Any, name: str) -> None:
    """Take a picture."""
    target = CHECKOUT / "docs" / f"{name}.png"
    try:
        await PICTURES[name][1](demo, page)
        await page.wait_for_load_state("networkidle")
        await page.wait_for_timeout(1000)  # what fades in has done so
        await page.screenshot(path=target)
    except Error as error:
        raise DemoError(f"{name}: {error}") from error
    print(target.relative_to(CHECKOUT), f"({target.stat().st_size // 1024} KiB)", flush=True)


async def main() -> int:
    """Take the pictures the command line names."""
    parser = argparse.ArgumentParser(prog="scripts/screenshot", description=__doc__)
    parser.add_argument("names", nargs="*", choices=PICTURES, default=list(PICTURES), help="pictures to take (all)")
    names = parser.parse_args().names

    async def take_all() -> None:
        for scene in dict.fromkeys(PICTURES[name][0] for name in names):
            await take(scene, [name for name in names if PICTURES[name][0] == scene])

    return await exit_code(take_all(), when_interrupted=130)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
