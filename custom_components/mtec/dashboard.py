"""The dashboard of M-TEC plants: a module for Home Assistant's frontend, loaded while there is a home."""

from pathlib import Path
from typing import Final

from homeassistant.components.http import StaticPathConfig
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.loader import async_get_integration
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN

MODULE: Final = Path(__file__).parent / "frontend" / "mtec-dashboard.js"
STRATEGY: Final = f"custom:{DOMAIN}"
_URL: Final[HassKey[str]] = HassKey(f"{DOMAIN}_dashboard_url")
_LOADED: Final[HassKey[bool]] = HassKey(f"{DOMAIN}_dashboard_loaded")


async def async_load_dashboard(hass: HomeAssistant) -> None:
    """Have browsers load the dashboard's module. Home Assistant may run without a frontend."""
    if "frontend" not in hass.config.components or hass.data.get(_LOADED):
        return
    from homeassistant.components.frontend import add_extra_js_url  # noqa: PLC0415

    hass.data[_LOADED] = True
    if _URL not in hass.data:
        hass.data[_URL] = url = await _async_url(hass)
        # The address changes with the file, so browsers may keep it for ever.
        await hass.http.async_register_static_paths([StaticPathConfig(url, str(MODULE), cache_headers=True)])
    add_extra_js_url(hass, hass.data[_URL])


@callback
def async_unload_dashboard(hass: HomeAssistant) -> None:
    """Have browsers load the dashboard's module no more."""
    if hass.data.pop(_LOADED, False):
        from homeassistant.components.frontend import remove_extra_js_url  # noqa: PLC0415

        remove_extra_js_url(hass, hass.data[_URL])


async def _async_url(hass: HomeAssistant) -> str:
    """Return the address of the module, with the version and the time of the file."""
    version = (await async_get_integration(hass, DOMAIN)).version
    changed = (await hass.async_add_executor_job(MODULE.stat)).st_mtime_ns
    return f"/{DOMAIN}/{version}-{changed:x}/{MODULE.name}"


async def async_dashboard_path(hass: HomeAssistant) -> str | None:
    """Return the path of a dashboard that is built by our strategy, None if there is none or it cannot be known."""
    dashboards = getattr(hass.data.get("lovelace"), "dashboards", None)
    for path, dashboard in (dashboards or {}).items():
        try:
            config = await dashboard.async_load(False)
        except AttributeError, HomeAssistantError, TypeError:
            # One that nobody has taken control of has no configuration.
            continue
        if config.get("strategy", {}).get("type") == STRATEGY and path is not None:
            return str(path)
    return None
