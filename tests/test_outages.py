"""Home Assistant is off, or the portal away, and in the end no day is missing: in a real Home Assistant."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
import logging

from freezegun.api import FrozenDateTimeFactory
import pytest

from custom_components.mtec.portal import rate_limiter
from tests.nulls import Nulls
from tests.outages import (
    HOUR,
    PLANT,
    SENSORS,
    Away,
    Outage,
    life,
    live,
    local,
    midnight_after,
    rows,
)
from tests.portal_simulator import HOUSE


@pytest.fixture(autouse=True)
def _ready(socket_enabled: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tests talk to the simulator; Home Assistant they start themselves."""
    # The clock stands still while gaps are filled, and no minute ends.
    for name in ("REQUESTS_A_MINUTE", "BACKGROUND_REQUESTS_A_MINUTE"):
        monkeypatch.setattr(rate_limiter, name, 100_000)
    monkeypatch.setattr(rate_limiter, "PAUSE", 0.0)
    caplog.set_level(logging.WARNING)
    caplog.set_level(logging.INFO, "custom_components.mtec")


async def _live(freezer: FrozenDateTimeFactory, outages: Sequence[Outage]) -> None:
    """Live with outages, from the evening before the first day of one until the day after the last is over."""
    begin = midnight_after(outages[0].start, -1) - 2 * HOUR
    async with life(freezer, begin, outages) as lived:
        await live(lived, midnight_after(outages[-1].end) + 2 * HOUR)


async def _total_around(freezer: FrozenDateTimeFactory, outage: Outage) -> dict[str, float]:
    """Return what is recorded of each energy, less what the plant has, from before an outage until hours after it."""
    begin, end = outage.start - 2 * HOUR, (outage.end + 4 * HOUR).replace(minute=6)
    async with life(freezer, begin) as lived:
        async with lived.home() as home:
            await lived.add_account(home)
            await lived.live(home, outage.start)
        freezer.move_to(outage.end)
        async with lived.home() as home:
            await lived.live(home, end)
            found = await rows(home)
    # The last hour has what was polled three minutes before its end.
    polled = end - timedelta(minutes=9)
    made = PLANT.energy(PLANT.day_start(begin.astimezone(HOUSE.zone).date()), polled)
    return {
        id_: found[id_][-1]["sum"] - found[id_][0]["sum"] + found[id_][0]["state"] - getattr(made, part)
        for id_, part in SENSORS.items()
    }


@pytest.mark.parametrize("minutes", [3, 11, 25, 61])
def test_off_in_the_last_hour_of_a_day_and_on_soon_after_it(freezer: FrozenDateTimeFactory, minutes: int) -> None:
    """Whether or not the row that is made up of that hour looks as if it was recorded, no energy is lost."""
    midnight = local(2026, 6, 17)
    outage = Outage(midnight - timedelta(minutes=63), midnight + timedelta(minutes=minutes))
    differences = asyncio.run(_total_around(freezer, outage))
    for id_, difference in differences.items():
        assert difference == pytest.approx(0, abs=0.03), id_


OFF = {
    "an hour": (local(2026, 6, 16, 12, 20), local(2026, 6, 16, 13, 25)),
    "a night": (local(2026, 6, 16, 20, 20), local(2026, 6, 17, 8, 10)),
    "the end of a day and the begin of the next one": (local(2026, 6, 16, 23, 20), local(2026, 6, 17, 2, 10)),
    "three days": (local(2026, 6, 16, 18, 20), local(2026, 6, 19, 10, 10)),
}


@pytest.mark.parametrize("outage", OFF.values(), ids=OFF)
def test_home_assistant_is_off(freezer: FrozenDateTimeFactory, outage: tuple[datetime, datetime]) -> None:
    """It makes up rows for that time, which repeat what was: the hours get what the portal knows of them."""
    asyncio.run(_live(freezer, [Outage(*outage)]))


LONGER = {
    "over the change of the clocks in autumn": [Outage(local(2026, 10, 24, 18, 20), local(2026, 10, 25, 10, 10))],
    "over the change of the clocks in spring": [Outage(local(2026, 3, 28, 18, 20), local(2026, 3, 29, 10, 10))],
    "over New Year": [Outage(local(2026, 12, 31, 14, 20), local(2027, 1, 2, 9, 10))],
    "over midnight on three days": [
        Outage(local(2026, 6, 15, 23, 50), local(2026, 6, 16, 0, 40)),
        Outage(local(2026, 6, 16, 22, 58), local(2026, 6, 17, 1, 10)),
        Outage(local(2026, 6, 17, 23, 58), local(2026, 6, 18, 6, 10)),
    ],
    "the network away for two days": [
        Outage(local(2026, 6, 16, 18, 20), local(2026, 6, 18, 19, 10), Away.NETWORK),
    ],
    "the portal away for two days": [Outage(local(2026, 6, 16, 18, 20), local(2026, 6, 18, 19, 10), Away.PORTAL)],
    "restarts in between": [
        Outage(local(2026, 6, 16, 9, 20), local(2026, 6, 16, 9, 25)),
        Outage(local(2026, 6, 16, 11, 20), local(2026, 6, 16, 15, 10)),
        Outage(local(2026, 6, 16, 15, 12), local(2026, 6, 16, 15, 14)),
        Outage(local(2026, 6, 16, 19, 20), local(2026, 6, 17, 8, 10)),
        Outage(local(2026, 6, 17, 8, 14), local(2026, 6, 17, 8, 20)),
    ],
    "a month": [Outage(local(2026, 5, 14, 18, 20), local(2026, 6, 15, 9, 10))],
}


@pytest.mark.parametrize("outages", LONGER.values(), ids=LONGER)
def test_no_day_is_missing(freezer: FrozenDateTimeFactory, outages: Sequence[Outage]) -> None:
    asyncio.run(_live(freezer, outages))


def test_nulls_after_it(freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back after the end of a month, the portal twice says null to the request of its rows: it is asked again later."""
    outage = Outage(local(2026, 5, 30, 18, 20), local(2026, 6, 2, 4, 10))

    async def lived() -> None:
        async with life(freezer, midnight_after(outage.start, -1) - 2 * HOUR, [outage]) as lived:
            nulls = Nulls(monkeypatch, lived.portal, "2026-05", 0)
            await live(lived, midnight_after(outage.end) + 2 * HOUR, on_return=lambda: setattr(nulls, "left", 2))
            assert nulls.left == 0

    asyncio.run(lived())
