"""A simulated solar portal: a real HTTP server that plays the portal from a model of its plants."""

from .clock import Clock
from .faults import FAULTS, Faults
from .plant import STEP, Energies, Inverter, InverterPowers, Plant, PlantDescription, Powers, plant_of
from .plants import BARN, CABIN, FARM, HOUSE, Account, Station
from .portal import Call
from .server import PortalSimulator

__all__ = [
    "BARN",
    "CABIN",
    "FARM",
    "FAULTS",
    "HOUSE",
    "STEP",
    "Account",
    "Call",
    "Clock",
    "Energies",
    "Faults",
    "Inverter",
    "InverterPowers",
    "Plant",
    "PlantDescription",
    "PortalSimulator",
    "Powers",
    "Station",
    "plant_of",
]
