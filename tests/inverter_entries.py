"""What is stored of an inverter in the network."""

from typing import Any

from homeassistant.config_entries import ConfigSubentryData
from homeassistant.const import CONF_HOST, CONF_MODEL, CONF_PORT, CONF_SCAN_INTERVAL

from custom_components.mtec.const import (
    CONF_FRAMING,
    CONF_RATED_POWER,
    CONF_RELEASE,
    CONF_SERIAL_NUMBER,
    CONF_UNIT_ID,
    NETWORK_INTERVAL,
    SUBENTRY_INVERTER,
)
from tests.inverter_simulator import InverterSimulator

RTU_UNIT = 252


def subentry(inverter: InverterSimulator, **about: Any) -> ConfigSubentryData:
    """Return what the dialog stores of an inverter."""
    return ConfigSubentryData(
        data={
            CONF_HOST: inverter.host,
            CONF_PORT: inverter.port,
            CONF_FRAMING: "rtu" if inverter.unit == RTU_UNIT else "tcp",
            CONF_UNIT_ID: inverter.unit,
            CONF_SERIAL_NUMBER: inverter.serial_number,
            CONF_MODEL: "8K-25",
            CONF_RATED_POWER: 8000.0,
            CONF_SCAN_INTERVAL: NETWORK_INTERVAL.seconds,
            CONF_RELEASE: False,
            **about,
        },
        subentry_type=SUBENTRY_INVERTER,
        title="Inverter in the cellar",
        unique_id=inverter.serial_number,
    )
