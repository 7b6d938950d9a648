"""Installs the packages which Home Assistant would install itself when the demo starts it."""

import asyncio
import logging
import sys
import tempfile

from homeassistant.bootstrap import CORE_INTEGRATIONS, DEFAULT_INTEGRATIONS, LOGGING_AND_HTTP_DEPS_INTEGRATIONS
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.loader import async_setup
from homeassistant.requirements import async_get_integration_with_requirements

from scripts.demo_house import CONFIGURED, STAND_INS


async def install() -> None:
    """Let Home Assistant find and install what it needs, the way it does at its start."""
    with tempfile.TemporaryDirectory() as folder:
        hass = HomeAssistant(folder)
        async_setup(hass)
        hass.config.skip_pip_packages = list(STAND_INS)
        integrations = {*CORE_INTEGRATIONS, *DEFAULT_INTEGRATIONS, *LOGGING_AND_HTTP_DEPS_INTEGRATIONS, *CONFIGURED}
        for domain in sorted(integrations - {"sentry"}):
            await async_get_integration_with_requirements(hass, domain)
        await hass.async_stop(force=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    try:
        asyncio.run(install())
    except HomeAssistantError as error:
        sys.exit(f"Home Assistant's packages could not be installed: {error}")
