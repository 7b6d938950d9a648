"""Looks at the dashboard in a browser, and tells what is wrong with it."""

import argparse
import asyncio
from collections.abc import AsyncIterator
import contextlib
from itertools import product
import json
import os
from pathlib import Path
import sys
from typing import Any

from playwright.async_api import Error, async_playwright  # type: ignore[import-not-found]

from scripts.demo_house import (
    ACCOUNT,
    CORE_CONFIG,
    DOMAIN,
    PATH,
    STRATEGY,
    Demo,
    DemoError,
    act,
    add_dashboard,
    demo_house,
    exit_code,
    fill_energy_dashboard,
    state_folder,
    wait_for_values,
)
from scripts.screenshot import BROWSER_OPTIONS, NOON, WORDS, find_browser

WIDTHS = {"desktop": (1440, 1000), "phone": (390, 844)}
THEMES = ("light", "dark")
LANGUAGES = ("en", "de")
HARMLESS = (
    "favicon",
    "service worker",
    "ServiceWorker",
    "brands/",
    "ERR_INTERNET_DISCONNECTED",
    "net::ERR_",
    "map-tiles",
)
"""What a browser complains about in a house without internet."""

FIND_PROBLEMS = """() => {
  const found = [];
  const walk = (root) => {
    for (const each of root.querySelectorAll("*")) {
      const name = each.localName;
      if (/^hui-(error-card|warning|warning-element|error-section|error-badge)$/.test(name)) {
        found.push(name + ": " + each.innerText);
      }
      if (each.shadowRoot) walk(each.shadowRoot);
      if (name === "style" || name === "script") continue;
      for (const node of each.childNodes) {
        const words = node.nodeType === Node.TEXT_NODE ? node.data.trim() : "";
        const shown = each.checkVisibility ? each.checkVisibility() : true;
        const empty = /^(unknown|unbekannt|unavailable|nicht verfügbar|undefined|NaN|\\[object Object\\])$/i;
        if (shown && empty.test(words)) found.push("says " + words);
      }
    }
  };
  walk(document);
  return found;
}"""
PANEL = (
    "document.querySelector('home-assistant').shadowRoot.querySelector('home-assistant-main').shadowRoot"
    ".querySelector('ha-panel-lovelace')"
)
COUNT_CARDS = """() => {
  let count = 0;
  const walk = (root) => {
    for (const each of root.querySelectorAll("*")) {
      if (each.localName === "ha-card") count += 1;
      if (each.shadowRoot) walk(each.shadowRoot);
    }
  };
  walk(document);
  return count;
}"""


@contextlib.asynccontextmanager
async def browser(demo: Demo) -> AsyncIterator[Any]:
    """Run a browser."""
    async with async_playwright() as playwright:
        state = str(demo.log.parent)
        launched = await playwright.chromium.launch(
            executable_path=find_browser(),
            args=BROWSER_OPTIONS,
            env={**os.environ, "XDG_CONFIG_HOME": state, "XDG_CACHE_HOME": state},
        )
        yield launched
        await launched.close()


async def open_page(demo: Demo, launched: Any, theme: str, width: str, language: str) -> tuple[Any, list[str]]:
    """Open a page in which the demo's user is logged in, and the list of what its console complains about."""
    size = dict(zip(("width", "height"), WIDTHS[width], strict=True))
    page = await launched.new_page(
        viewport=size, color_scheme=theme, reduced_motion="reduce", locale="en-GB", timezone_id=CORE_CONFIG["time_zone"]
    )
    tokens = {**demo.tokens, "hassUrl": demo.home, "clientId": f"{demo.home}/", "expires": 2**53 - 1}
    await page.add_init_script(
        f"localStorage.hassTokens = {json.dumps(json.dumps(tokens))};"
        f"localStorage.selectedLanguage = {json.dumps(json.dumps(language))};"
    )
    complaints: list[str] = []

    def note(text: str) -> None:
        if not any(word in text for word in HARMLESS):
            complaints.append(text)

    page.on("console", lambda message: note(f"{message.text} {message.location}") if message.type == "error" else None)
    page.on("pageerror", lambda error: note(str(error)))
    return page, complaints


async def look(demo: Demo, launched: Any, folder: Path, variants: list[tuple[str, str, str]]) -> list[str]:
    """Look at every view. Return what is wrong."""
    found: list[str] = []
    for theme, width, language in variants:
        page, complaints = await open_page(demo, launched, theme, width, language)
        await page.goto(f"{demo.home}/{PATH}")
        try:
            await page.locator("hui-sections-view").first.wait_for(timeout=60_000)
        except Error as error:
            await page.screenshot(path=folder / "failed.png")
            raise DemoError(f"The dashboard does not open: {error}; {complaints}") from error
        paths = await page.evaluate(f"() => {PANEL}.lovelace.config.views.map((view) => view.path)")
        for path in paths:
            name = f"{path}-{width}-{theme}-{language}"
            await page.goto(f"{demo.home}/{PATH}/{path}")
            await page.locator("hui-sections-view ha-card").first.wait_for(timeout=30_000)
            await page.wait_for_timeout(2500)
            found += [f"{name}: {problem}" for problem in await page.evaluate(FIND_PROBLEMS)]
            if await page.evaluate(COUNT_CARDS) < 2:  # noqa: PLR2004
                found.append(f"{name}: hardly a card")
            height = await page.evaluate(
                f"() => {PANEL}.shadowRoot.querySelector('hui-root').shadowRoot.querySelector('#view').scrollHeight"
            )
            tall = {"width": WIDTHS[width][0], "height": max(WIDTHS[width][1], min(height + 60, 3000))}
            await page.set_viewport_size(tall)
            await page.wait_for_timeout(700)
            await page.screenshot(path=folder / f"{name}.png")
            found += [f"{name}: {text}" for text in complaints]
            complaints.clear()
        await page.close()
        if paths[:4] != ["now", "today", "years", "inverter"]:
            found.append(f"{theme} {width} {language}: the views are {paths}")
    return found


async def set_up(demo: Demo, launched: Any, folder: Path) -> list[str]:
    """Go from the first click of the set-up to the dashboard, with clicks alone. Return what is wrong."""
    page, complaints = await open_page(demo, launched, "light", "desktop", "en")

    async def picture(name: str) -> None:
        await page.wait_for_timeout(1000)
        await page.screenshot(path=folder / f"set-up-{name}.png")

    async def click(text: str) -> None:
        await page.get_by_text(text, exact=True).last.click()

    try:
        await page.goto(f"{demo.home}/config/integrations/dashboard/add?domain={DOMAIN}")
        await page.get_by_role("button", name="OK").click()
        await page.get_by_text(WORDS["config"]["step"]["user"]["menu_options"]["account"]).click()
        await page.locator("input[type=email]").fill(ACCOUNT.email)
        await page.locator("input[type=password]").fill(ACCOUNT.password)
        await page.get_by_text(WORDS["config"]["step"]["account"]["sections"]["portal"]["name"], exact=True).click()
        await page.locator("input[type=url]").fill(demo.portal)
        await page.get_by_role("button", name="Submit").click()
        steps = WORDS["options"]["step"]
        await page.get_by_text(steps["areas"]["title"], exact=True).wait_for(timeout=60_000)
        await picture("0-areas")
        await page.get_by_role("button", name="Next").click()
        next_steps = steps["next_steps"]["menu_options"]
        await page.get_by_text(next_steps["later"], exact=True).wait_for(timeout=60_000)
        await picture("1-next")
        await click(next_steps["energy_dashboard"])
        await page.get_by_text(steps["energy_dashboard"]["data"]["import_price"]).first.wait_for()
        await picture("2-energy")
        await page.get_by_role("button", name="Submit").click()
        await page.get_by_text("Open the Energy dashboard").wait_for()
        await picture("3-added")
        await page.goto(f"{demo.home}/config/lovelace/dashboards")
        await page.get_by_text("Add dashboard").first.click()
        await page.get_by_text("M-TEC Energybutler").last.wait_for()
        await page.get_by_text("M-TEC Energybutler").last.scroll_into_view_if_needed()
        await picture("4-community")
        await page.get_by_text("M-TEC Energybutler").last.click()
        await page.locator("dialog-lovelace-dashboard-detail input").first.fill("Solar power")
        await picture("5-named")
        await page.get_by_role("button", name="Create").click()
        await page.get_by_text("Solar power").first.wait_for()
        await page.get_by_text("Solar power").first.click()
        await page.locator("hui-sections-view ha-card").first.wait_for()
        await page.wait_for_timeout(2000)
        await picture("6-dashboard")
    except Error as error:
        await picture("failed")
        return [f"set-up: {error}", *complaints]
    sources = await demo.command("energy/get_prefs")
    configs = [
        await demo.command("lovelace/config", url_path=each["url_path"])
        for each in await demo.command("lovelace/dashboards/list")
        if each["mode"] == "storage"
    ]
    types = {each["type"] for each in sources["energy_sources"]}
    found = [] if types == {"grid", "solar", "battery"} else [f"The Energy dashboard has {types}"]
    return [*found, *([] if STRATEGY in configs else [f"The dashboards are {configs}"]), *complaints]


async def main() -> int:
    """Look at all variants, or at those the command line names."""
    parser = argparse.ArgumentParser(prog="scripts/look", description=__doc__)
    parser.add_argument("--theme", choices=THEMES, action="append")
    parser.add_argument("--width", choices=WIDTHS, action="append")
    parser.add_argument("--language", action="append")
    parser.add_argument("--bare", action="store_true", help="leave the Energy dashboard empty")
    parser.add_argument(
        "--set-up", action="store_true", help="watch the set-up instead, from the first click to the last"
    )
    parser.add_argument("--history", action="store_true", help="import a plant's past first, which takes ten minutes")
    arguments = parser.parse_args()
    variants = list(product(arguments.theme or THEMES, arguments.width or WIDTHS, arguments.language or LANGUAGES))

    async def work() -> None:
        # Statistics are of the time that Home Assistant lives in, so the portal has to be there, too.
        options = () if arguments.history else ("--now", NOON.isoformat())
        if arguments.set_up:
            with state_folder("look-set-up") as folder:
                async with (
                    demo_house(folder, account=False, simulator_options=options) as demo,
                    browser(demo) as launched,
                ):
                    found = await set_up(demo, launched, folder)
            if found:
                raise DemoError("\n".join(found))
            print(f"Watched the set-up: nothing is wrong. The pictures are in {folder}.")
            return
        with state_folder("look-history" if arguments.history else "look") as folder:
            async with demo_house(folder, account=True, simulator_options=options) as demo:
                await wait_for_values(demo)
                if not arguments.bare:
                    await fill_energy_dashboard(demo)
                if arguments.history:
                    await act(demo, "import_history", resolution="days")
                await add_dashboard(demo)
                try:
                    async with browser(demo) as launched:
                        found = await look(demo, launched, folder, variants)
                except Error as error:
                    raise DemoError(str(error)) from error
        if found:
            raise DemoError("\n".join(found))
        print(f"Looked at the dashboard in {len(variants)} variants: nothing is wrong. The pictures are in {folder}.")

    return await exit_code(work(), when_interrupted=130)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
