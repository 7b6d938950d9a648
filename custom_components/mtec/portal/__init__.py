"""A client for M-TEC's portal. Knows nothing of Home Assistant."""

from .client import PORTAL_URL, Client
from .errors import AuthenticationError, BusyError, PortalConnectionError, PortalError, ResponseError
from .models import (
    BackupReading,
    BatteryMode,
    BatteryReading,
    Credentials,
    CurvePoint,
    DaySummary,
    DayUsage,
    Energies,
    Inverter,
    InverterReading,
    PhaseReading,
    Station,
    StationReading,
    StringReading,
    UsageRow,
    WorkStatus,
    digest_of,
)
from .pacing import Pacing

__all__ = [
    "PORTAL_URL",
    "AuthenticationError",
    "BackupReading",
    "BatteryMode",
    "BatteryReading",
    "BusyError",
    "Client",
    "Credentials",
    "CurvePoint",
    "DaySummary",
    "DayUsage",
    "Energies",
    "Inverter",
    "InverterReading",
    "Pacing",
    "PhaseReading",
    "PortalConnectionError",
    "PortalError",
    "ResponseError",
    "Station",
    "StationReading",
    "StringReading",
    "UsageRow",
    "WorkStatus",
    "digest_of",
]
