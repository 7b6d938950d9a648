"""A command to the battery of an inverter, as it is stored."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self

from custom_components.mtec.local.link import Framing
from custom_components.mtec.models import InverterMode

LONGEST: Final = timedelta(hours=12)
"""The longest that a command lasts."""


class CommandKind(StrEnum):
    """What a battery is told to do."""

    CHARGE = "charge"
    DISCHARGE = "discharge"
    HOLD = "hold"


class Phase(StrEnum):
    """How far a command is: its registers are being written, all of them are, or it is being ended."""

    STARTING = "starting"
    RUNNING = "running"
    ENDING = "ending"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryCommand:
    """A command to a battery: its power in W without a sign, and when it ends, by time or by state of charge (%).

    `mode_before` is the mode to go back to. `began_by` is the name of the person or automation, None if not known.
    The rest is where the inverter answers, to reach it even if its home is not loaded.
    """

    serial_number: str
    kind: CommandKind
    power: float
    began: datetime
    until: datetime
    until_state_of_charge: float | None
    mode_before: InverterMode
    phase: Phase
    began_by: str | None
    host: str
    port: int
    framing: Framing
    unit_id: int
    model: str | None
    rated_power: float | None

    @property
    def told_power(self) -> float:
        """The power in W that the battery is told, positive discharges."""
        return -self.power if self.kind is CommandKind.CHARGE else self.power

    def is_over(self, now: datetime) -> bool:
        """Return whether its time is over, or the clock was or is so wrong that nobody knows."""
        return not self.began <= now < self.until or self.until - now > LONGEST

    def is_reached(self, state_of_charge: float | None) -> bool:
        """Return whether a state of charge is the one to end at."""
        target = self.until_state_of_charge
        if target is None or state_of_charge is None:
            return False
        return state_of_charge >= target if self.kind is CommandKind.CHARGE else state_of_charge <= target

    def as_json(self) -> dict[str, Any]:
        """Return what is stored of it."""
        return asdict(self) | {"began": self.began.isoformat(), "until": self.until.isoformat()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Return a stored command. Raises KeyError, TypeError and ValueError if it makes no sense."""
        return cls(
            **{
                **stored,
                "kind": CommandKind(stored["kind"]),
                "began": datetime.fromisoformat(stored["began"]),
                "until": datetime.fromisoformat(stored["until"]),
                "mode_before": InverterMode(stored["mode_before"]),
                "phase": Phase(stored["phase"]),
                "framing": Framing(stored["framing"]),
            }
        )
