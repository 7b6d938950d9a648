"""Any outages of Home Assistant, the network and the portal over two months, then one healing: no day is missing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
import logging

from freezegun.api import FrozenDateTimeFactory
from hypothesis import HealthCheck, Phase, example, given, settings, strategies as st
import pytest

from custom_components.mtec.history.healing import Healing
from custom_components.mtec.portal import rate_limiter
from tests.household import Household
from tests.outages import DAY, HOUR, PLANT, Away, Life, Outage, life, live, midnight_after
from tests.portal_simulator import HOUSE

MONTHS = timedelta(days=60)
LONGEST_OFF = 9
"""Hours: Home Assistant makes up a row for each five minutes, which takes its time."""


@pytest.fixture(autouse=True)
def _ready(socket_enabled: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tests talk to the simulator; Home Assistant they start themselves."""
    for name in ("REQUESTS_A_MINUTE", "BACKGROUND_REQUESTS_A_MINUTE"):
        monkeypatch.setattr(rate_limiter, name, 100_000)
    monkeypatch.setattr(rate_limiter, "PAUSE", 0.0)
    caplog.set_level(logging.WARNING)


@dataclass(frozen=True)
class Stretch:
    """Some hours in which all is well, and an outage after them, which lasts a part of the days that there are."""

    well: int
    what: Away
    part: int


def outages_of(begin: datetime, stretches: Sequence[Stretch]) -> list[Outage]:
    """Return outages that fill two months. They begin and end in the middle of an hour, and not soon after midnight."""
    hours = sum(each.well + LONGEST_OFF * (each.what is Away.HOME_ASSISTANT) for each in stretches)
    left = MONTHS - timedelta(hours=hours)
    parts = sum(each.part for each in stretches if each.what is not Away.HOME_ASSISTANT)
    outages, now = [], begin
    for each in stretches:
        start = now + timedelta(hours=each.well)
        away = timedelta(hours=LONGEST_OFF) if each.what is Away.HOME_ASSISTANT else left * each.part / parts
        start = start.replace(minute=20, second=0, microsecond=0)
        now = (start + away).replace(minute=40, second=0, microsecond=0)
        outages.append(Outage(start, now, each.what))
    return outages


STRETCH = st.builds(Stretch, well=st.integers(3, 9), what=st.sampled_from(Away), part=st.integers(1, 4))


@given(
    day=st.dates(date(2026, 1, 5), date(2026, 9, 1)),
    stretches=st.lists(STRETCH, min_size=4, max_size=6).filter(
        lambda each: {Away.NETWORK, Away.PORTAL} & {stretch.what for stretch in each}
    ),
)
@example(
    day=date(2026, 2, 20),
    stretches=[
        Stretch(5, Away.PORTAL, 2),
        Stretch(8, Away.HOME_ASSISTANT, 1),
        Stretch(4, Away.NETWORK, 1),
        Stretch(7, Away.PORTAL, 1),
    ],
)
@settings(
    max_examples=1,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
def test_any_outages(freezer: FrozenDateTimeFactory, day: date, stretches: list[Stretch]) -> None:
    begin = PLANT.day_start(day) - 2 * HOUR
    outages = outages_of(begin, stretches)

    async def finish(_: Life, home: Household) -> None:
        healing = Healing(
            hass=home.hass,
            source=home.entry.runtime_data.history_source,
            station_id=HOUSE.station_id,
            is_last=True,
        )
        assert await healing.async_run()

    async def lived() -> None:
        async with life(freezer, begin, outages) as lived:
            await live(lived, midnight_after(outages[-1].end) + DAY / 12, finish=finish)

    with pytest.MonkeyPatch.context() as patched:
        # Until the end nothing is filled in.
        patched.setattr("custom_components.mtec.history.healing._RECORDED_AFTER", 2 * MONTHS)
        asyncio.run(lived())
