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

# The integrations in the demo's configuration.yaml.
CONFIGURED = ("config", "energy", "history", "logbook", "sun")

# Home Assistant cannot start without its voice assistant and cameras, whose packages want a C compiler or a library of
# the system. Nobody talks to the demo: scripts/demo.py puts empty classes in their place.
STAND_INS = {
    "pymicro-vad": "pymicro_vad.MicroVad",
    "pyspeex-noise": "pyspeex_noise.AudioProcessor",
    "PyTurboJPEG": "turbojpeg.TurboJPEG",
}


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
