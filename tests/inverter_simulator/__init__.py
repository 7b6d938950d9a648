"""A simulated inverter: a real Modbus server that plays one inverter of a plant from the portal simulator's model."""

from .commanded import CommandedPlant
from .faults import FAULTS, SHIFT, Faults
from .modbus import RefusedError, Request
from .registers import CLUSTERS, KNOWN, TABLE, Register, View
from .server import DELAY, PLANTS, InverterSimulator
from .settings import SETTINGS, Setting, Settings

__all__ = [
    "CLUSTERS",
    "DELAY",
    "FAULTS",
    "KNOWN",
    "PLANTS",
    "SETTINGS",
    "SHIFT",
    "TABLE",
    "CommandedPlant",
    "Faults",
    "InverterSimulator",
    "RefusedError",
    "Register",
    "Request",
    "Setting",
    "Settings",
    "View",
]
