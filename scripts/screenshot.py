"""Takes the pictures in docs from the running demo."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
import contextlib
from datetime import datetime, timedelta
import json
import os
from pathlib import Path
import shutil
import sys
from typing import Any

from playwright.async_api import Error, async_playwright  # type: ignore[import-not-found]

from scripts.demo import (
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
SIZE = {"width": 1200, "height": 900}
SCALE = 1.5
# What the portal tells of today is of no use in a home where it is another day.
NOON = datetime.now(HOUSE.zone).replace(hour=12, minute=30)
MORNING = datetime(2026, 6, 16, 9, 40, tzinfo=HOUSE.zone)
EVENING = MORNING.replace(hour=19, minute=20)
"""A sunny day, on which the battery is half full in the morning."""
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
    await wait_for_values(demo)
    await check_inverter(demo)
    devices = await demo.command("config/device_registry/list")
    [inverter] = [each["id"] for each in devices if each["serial_number"] == HOUSE.inverters[0].serial]
    await page.set_viewport_size({**SIZE, "height": 1200})
    await page.goto(f"{demo.home}/config/devices/device/{inverter}")
    await page.get_by_text("Work status", exact=True).wait_for()


async def set_up(demo: Demo, page: Any) -> None:
    """Show the set-up dialog where one signs in."""
    words = json.loads((CHECKOUT / "custom_components" / DOMAIN / "translations" / "en.json").read_text())
    steps = words["config"]["step"]
    await page.goto(f"{demo.home}/config/integrations/dashboard/add?domain={DOMAIN}")
    await page.get_by_role("button", name="OK").click()
    await page.get_by_text(steps["user"]["menu_options"]["account"]).click()
    await page.locator("input[type=email]").fill("family@example.com")
    await page.mouse.move(0, 0)


async def fill(demo: Demo) -> None:
    """Give the Energy dashboard its sources and a plant's past."""
    await wait_for_values(demo)
    await check_inverter(demo)
    await fill_energy_dashboard(demo)
    await act(demo, "import_history", resolution="hours", start=(MORNING - timedelta(days=1)).date().isoformat())
    await act(demo, "import_history", resolution="days")


async def energy(demo: Demo, page: Any) -> None:
    """Show the Energy dashboard of a plant whose history has been imported. Takes some minutes."""
    await fill(demo)
    await page.goto(f"{demo.home}/energy/electricity")
    period = page.locator("hui-energy-period-selector")
    await period.locator("ha-date-range-picker").click()
    await page.get_by_text("This year", exact=True).click()
    await period.get_by_label("Previous").click()
    await page.mouse.move(0, 0)


def view(path: str, height: int) -> Callable[[Demo, Any], Awaitable[None]]:
    """Return what shows a view of our dashboard. Takes some minutes."""

    async def show(demo: Demo, page: Any) -> None:
        await fill(demo)
        await add_dashboard(demo)
        await page.set_viewport_size({"width": 1440, "height": height})
        await page.goto(f"{demo.home}/{PATH}/{path}")
        await page.locator("hui-sections-view ha-card").first.wait_for()
        await page.wait_for_timeout(4000)

    return show


PICTURES: dict[str, tuple[bool, datetime, Callable[[Demo, Any], Awaitable[None]]]] = {
    "dashboard-now": (True, MORNING, view("now", 1000)),
    "dashboard-today": (True, EVENING, view("today", 1300)),
    "dashboard-years": (True, EVENING, view("years", 1300)),
    "device": (True, MORNING, device),
    "energy": (True, EVENING, energy),
    "set-up": (False, MORNING, set_up),
}
"""Whether each picture needs an account set up, when it is, and what brings the browser there."""


async def take(name: str) -> None:
    """Start a demo and take one picture."""
    account, moment, show = PICTURES[name]
    target = CHECKOUT / "docs" / f"{name}.png"
    target.parent.mkdir(exist_ok=True)
    browser = find_browser()
    options, environment = ("--now", moment.isoformat()), living_at(moment)
    with state_folder("screenshot") as folder:
        async with (
            demo_house(folder, account=account, simulator_options=options, environment=environment) as demo,
            browser_page(demo, browser) as page,
        ):
            try:
                await page.clock.set_fixed_time(moment + timedelta(minutes=2))
                await show(demo, page)
                await page.wait_for_load_state("networkidle")
                await page.wait_for_timeout(1000)  # what fades in has done so
                await page.screenshot(path=target)
            except Error as error:
                raise DemoError(f"{name}: {error}") from error
    print(target.relative_to(CHECKOUT), f"({target.stat().st_size // 1024} KiB)")


async def main() -> int:
    """Take the pictures the command line names."""
    parser = argparse.ArgumentParser(prog="scripts/screenshot", description=__doc__)
    parser.add_argument("names", nargs="*", choices=PICTURES, default=list(PICTURES), help="pictures to take (all)")
    names = parser.parse_args().names

    async def take_all() -> None:
        for name in names:
            await take(name)

    return await exit_code(take_all(), when_interrupted=130)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
