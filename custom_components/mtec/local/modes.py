"""The modes of an inverter as its register has them."""

from collections.abc import Mapping
from typing import Final

from custom_components.mtec.models import InverterMode

MODES: Final[Mapping[InverterMode, int]] = {
    InverterMode.GENERAL: 257,
    InverterMode.ECONOMIC: 258,
    InverterMode.UPS: 259,
    InverterMode.PEAK_SHIFT: 260,
    InverterMode.FEED_IN: 261,
    InverterMode.OFF_GRID: 512,
    InverterMode.COMMANDED: 771,
}
