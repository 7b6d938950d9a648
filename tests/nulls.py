"""A portal that says null where it knows rows."""

from typing import Any

import pytest

from tests.portal_simulator import PortalSimulator


class Nulls:
    """Lets a portal say null to the request of the rows of a period ("2026-02", "2026", or "" for the lifetime)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, simulator: PortalSimulator, period: str, times: int) -> None:
        self.left = times
        envelope = simulator._envelope

        def spoiled(call: Any, code: str, message: str, data: object) -> Any:
            durations = {"": "4", "2026": "3"}
            if (
                self.left
                and (call.path.endswith(("queryStationBarChart", "getGridConnectedData")))
                and (asked := {**call.query, **(call.body if isinstance(call.body, dict) else {})})
                and (str(asked["durationType"]), asked["date"]) == (durations.get(period, "2"), period)
            ):
                self.left -= 1
                data = None
            return envelope(call, code, message, data)

        monkeypatch.setattr(simulator, "_envelope", spoiled)
