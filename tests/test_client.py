"""The client, over real HTTP: what it reads from the simulated portal, and what it makes of a portal that fails."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import aiohttp
from aiohttp import web
import pytest

from custom_components.mtec.models import (
    BatteryReading,
    CurvePoint,
    Inverter,
    InverterReading,
    PhaseReading,
    Station,
    StationReading,
    StringReading,
    UsageRow,
)
from custom_components.mtec.portal import Client, Connection, Credentials, RateLimiter, digest_of, transport
from custom_components.mtec.sources import (
    AuthenticationError,
    BusyError,
    ResponseError,
    SourceConnectionError,
    SourceError,
)
from tests.clients import BERLIN, CREDENTIALS, client_of
from tests.conftest import GENERATION1, NOON, VILLAGE
from tests.odd_portal import TOKEN, odd_portal, raw_server, success
from tests.portal_simulator import BARN, FARM, HOUSE, PlantDescription, PortalSimulator


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def client(http: aiohttp.ClientSession, simulator: PortalSimulator, generation: int) -> Client:
    """A client that knows which generation the portal speaks."""
    password = simulator.accounts[VILLAGE].password
    return client_of(http, simulator.url, Credentials(VILLAGE, digest_of(password)), generation=generation)


def near(value: Any, abs: float = 1e-9, rel: float | None = None) -> Any:  # noqa: A002
    """Return what equals a value within a tolerance."""
    return pytest.approx(value, abs=abs, rel=rel)


# What it reads


async def test_stations_and_inverters(client: Client) -> None:
    assert await client.stations() == [Station(id=plant.station_id, name=plant.name) for plant in (HOUSE, BARN, FARM)]
    farm = await client.inverters(FARM.station_id)
    assert farm == [
        Inverter(name="Wohnhaus", serial_number="EB103P2301120311", model="10.0-3P-25A"),
        Inverter(name="Scheune", serial_number="EB123P2301120348", model="12.0-3P-25A"),
    ]
    # An inverter without a name goes by its serial number.
    assert [inverter.name for inverter in await client.inverters(BARN.station_id)] == ["EB031P2308290046"]


@GENERATION1
async def test_demo_account(http: aiohttp.ClientSession, simulator: PortalSimulator) -> None:
    stations = await client_of(http, simulator.url, None).stations()
    assert [station.name for station in stations] == [HOUSE.name]


@pytest.mark.parametrize("hour", [0, 6, 10, 18, 22])
@pytest.mark.parametrize("plant", [HOUSE, BARN, FARM], ids=lambda plant: plant.station_id)
async def test_station_reading_is_the_plant(
    client: Client, simulator: PortalSimulator, generation: int, plant: PlantDescription, hour: int
) -> None:
    simulator.clock.set(NOON.replace(hour=hour))
    now = simulator.clock.now()
    model = simulator.plant(_station(simulator, plant))
    powers = model.power(now)

    def energy(start: date) -> Any:
        kwh = model.energy(model.day_start(start), now).pv
        return near(kwh, abs=0.006 if kwh < 999 else 0.6)

    reading = await client.station_reading(plant.station_id)

    watt = 0.6
    assert reading == StationReading(
        pv_energy_today=energy(date(2026, 6, 15) if hour < 22 else date(2026, 6, 16)),
        pv_energy_this_month=energy(date(2026, 6, 1)),
        pv_energy_this_year=energy(date(2026, 1, 1)),
        pv_energy_total=energy(plant.installed),
        pv_power=near(powers.pv, abs=watt),
        grid_power=near(powers.grid, abs=watt) if plant.meter else None,
        battery_power=near(powers.battery, abs=watt) if plant.battery else None,
        consumption_power=near(powers.load, abs=watt) if plant.meter else None,
        state_of_charge=near(powers.soc, abs=0.06) if plant.battery else None,
        grid_outage=False if generation == 1 else None,
        backup_power=near(powers.load * 0.15, abs=watt) if generation == 2 and plant.battery else None,
        installed_power=near(peak_of(plant)) if generation == 2 else None,
        signal_strength=-61.0 if generation == 2 else None,
    )


def peak_of(plant: PlantDescription) -> float:
    return sum(string.peak for inverter in plant.inverters for string in inverter.strings)


def _station(simulator: PortalSimulator, plant: PlantDescription) -> Any:
    return next(each for each in simulator.accounts[VILLAGE].stations if each.description == plant)


@GENERATION1
async def test_grid_outage(client: Client, simulator: PortalSimulator) -> None:
    _station(simulator, HOUSE).outage = True
    assert (await client.station_reading(HOUSE.station_id)).grid_outage is True


@pytest.mark.parametrize("plant", [HOUSE, BARN, FARM], ids=lambda plant: plant.station_id)
async def test_inverter_reading_is_the_plant(
    client: Client, simulator: PortalSimulator, plant: PlantDescription
) -> None:
    powers = simulator.plant(_station(simulator, plant)).power(NOON)
    for inverter in plant.inverters:
        share = powers.inverters[inverter.device_id]
        reading = await client.inverter_reading(plant.station_id, inverter.serial)

        assert {number: string.power for number, string in reading.strings.items()} == {
            int(name[2:]): near(watts, abs=0.6) for name, watts in share.strings.items()
        }
        for string in reading.strings.values():
            assert string.power is not None and string.voltage is not None and string.current is not None
            assert string.voltage * string.current == near(string.power, rel=0.01)

        assert len(reading.phases) == len(inverter.phases)
        assert sum(phase.inverter_power or 0 for phase in reading.phases.values()) == near(share.ac, abs=2)
        grid = [phase.grid_power for phase in reading.phases.values()]
        if inverter.meter:
            assert sum(power or 0 for power in grid) == near(powers.grid, abs=2)
        else:
            assert grid == [None] * len(grid)

        if inverter.battery:
            assert reading.battery.power == near(share.battery, abs=0.6)
            assert reading.battery.state_of_charge == near(powers.soc, abs=0.06)
            assert reading.battery.voltage is not None and reading.battery.current is not None
        else:
            assert reading.battery == BatteryReading()


def _watts(point: CurvePoint) -> tuple[float | None, ...]:
    return point.consumption_power, point.grid_power, point.pv_power, point.battery_power, point.state_of_charge


@pytest.mark.parametrize(
    ("day", "steps"),
    [
        (date(2026, 6, 14), 288),
        (date(2026, 3, 29), 276),  # clocks go forward
        (date(2025, 10, 26), 300),  # clocks go back
        (date(2024, 2, 29), 288),
        (date(2025, 12, 31), 288),
        (date(2026, 6, 15), 145),  # runs
        (date(2026, 6, 16), 0),  # to come
    ],
)
async def test_day_usage_is_the_plant(client: Client, simulator: PortalSimulator, day: date, steps: int) -> None:
    model = simulator.plant(_station(simulator, HOUSE))
    usage = await client.day_usage(HOUSE.station_id, day)

    assert len(usage.points) == steps
    start = model.day_start(day)
    assert [point.start for point in usage.points] == [
        (start + timedelta(minutes=5 * step)).astimezone(BERLIN) for step in range(steps)
    ]
    assert {point.start.date() for point in usage.points} <= {day}
    for point in usage.points:
        powers = model.power(point.start.astimezone(UTC))
        expected = (powers.load, powers.grid, powers.pv, powers.battery, powers.soc)
        assert _watts(point) == near(expected, abs=0.6)


async def test_day_summary(client: Client, simulator: PortalSimulator) -> None:
    energies = simulator.plant(_station(simulator, HOUSE)).day(date(2026, 6, 14))
    summary = (await client.day_usage(HOUSE.station_id, date(2026, 6, 14))).summary

    def kwh(value: float) -> Any:
        return near(value, abs=0.011)

    assert (summary.bought, summary.sold) == (kwh(energies.import_), kwh(energies.export))
    assert (summary.used, summary.self_used) == (
        kwh(energies.consumption),
        kwh(energies.consumption - energies.import_),
    )
    assert summary.total == kwh(energies.pv)


def _row(model: Any, start: date, end: date, now: datetime = NOON) -> UsageRow:
    energies = model.energy(model.day_start(start), min(model.day_start(end), now))

    def kwh(value: float) -> Any:
        return near(value, abs=0.006)

    return UsageRow(
        start=start,
        consumption=kwh(energies.consumption),
        pv=kwh(energies.pv),
        battery_discharge=kwh(energies.discharge),
        battery_charge=kwh(energies.charge),
        grid_import=kwh(energies.import_),
        grid_export=kwh(energies.export),
    )


async def test_rows_are_the_plant(client: Client, simulator: PortalSimulator) -> None:
    """A leap February, a month that runs, a year, the life, with nothing for what is still to come."""
    model = simulator.plant(_station(simulator, HOUSE))
    station_id = HOUSE.station_id

    february = [date(2024, 2, 1) + timedelta(days=day) for day in range(30)]
    assert await client.month_rows(station_id, 2024, 2) == [
        _row(model, day, day + timedelta(days=1)) for day in february[:29]
    ]
    assert await client.month_rows(station_id, 2026, 6) == [
        _row(model, date(2026, 6, day), date(2026, 6, day + 1)) for day in range(1, 16)
    ]
    assert await client.year_rows(station_id, 2026) == [
        _row(model, date(2026, month, 1), date(2026, month + 1, 1)) for month in range(1, 7)
    ]
    assert await client.lifetime_rows(station_id) == [
        _row(model, date(year, 1, 1), date(year + 1, 1, 1)) for year in range(2023, 2027)
    ]
    assert await client.month_rows(station_id, 2023, 3) == []


async def test_rows_of_pv_alone(client: Client, simulator: PortalSimulator) -> None:
    """What is not measured is None; the portal writes these dates as numbers."""
    model = simulator.plant(_station(simulator, BARN))
    rows = await client.month_rows(BARN.station_id, 2026, 5)
    assert rows == [
        UsageRow(
            start=date(2026, 5, number),
            consumption=None,
            pv=near(model.day(date(2026, 5, number)).pv, abs=0.006),
            battery_discharge=None,
            battery_charge=None,
            grid_import=None,
            grid_export=None,
        )
        for number in range(1, 32)
    ]


async def test_consumption_that_was_not_recorded_is_none(client: Client) -> None:
    rows = await client.month_rows(FARM.station_id, 2023, 3)
    assert [row.start.day for row in rows if row.consumption is None] == [1, 2, 3, 4, 5, 6]
    assert all(row.consumption for row in rows[6:])


# Signing in, and staying so


async def test_two_callers_at_once_sign_in_once(client: Client, simulator: PortalSimulator) -> None:
    await asyncio.gather(client.stations(), client.stations(), client.sign_in())
    assert simulator.logins == 1


async def test_expired_token_is_renewed_once(client: Client, simulator: PortalSimulator) -> None:
    await client.stations()
    simulator.expire_tokens()
    first, second = await asyncio.gather(client.stations(), client.inverters(HOUSE.station_id))
    assert len(first) == 3
    assert len(second) == 1
    assert simulator.logins == 2


async def test_page_instead_of_data_renews_the_token(http: aiohttp.ClientSession) -> None:
    pages = iter([web.Response(text="<!DOCTYPE html>"), web.Response(status=302, headers={"Location": "/login"})])

    def answer(_: web.Request) -> Any:
        return next(pages, success({"top10List": []}))

    async with odd_portal(answer) as portal:
        client = client_of(http, portal.url)
        await client.sign_in()
        assert await client.stations() == []
        assert sum("/login/" in path for path in portal.paths) == 2


async def test_page_on_one_path_costs_no_login(http: aiohttp.ClientSession) -> None:
    """The session is alive: another request is answered."""

    def answer(request: web.Request) -> Any:
        return web.Response(text="<!DOCTYPE html>") if "devices" in request.path else success({"top10List": []})

    async with odd_portal(answer) as portal:
        client = client_of(http, portal.url)
        for _ in range(5):
            with pytest.raises(ResponseError):
                await client.inverters("1")
        assert await client.stations() == []
        assert sum("/login/" in path for path in portal.paths) == 1


async def test_wrong_password(http: aiohttp.ClientSession, simulator: PortalSimulator) -> None:
    with pytest.raises(AuthenticationError, match="refuses to sign in"):
        await client_of(http, simulator.url, Credentials(VILLAGE, "f" * 32)).sign_in()


# Pacing


async def test_requests_go_one_at_a_time_with_a_pause(
    http: aiohttp.ClientSession, simulator: PortalSimulator, generation: int
) -> None:
    simulator.delay = 0.02
    limiter = RateLimiter(0.05)
    digest = digest_of(simulator.accounts[VILLAGE].password)
    clients = [
        Client(
            Connection(
                http,
                Credentials(VILLAGE, digest),
                time_zone=BERLIN,
                url=simulator.url,
                rate_limiter=limiter,
                api_version=generation,
            )
        )
        for _ in range(2)
    ]
    await asyncio.gather(*(client.stations() for client in clients for _ in range(3)))

    assert len(simulator.requests) == 8
    for before, after in zip(simulator.requests, simulator.requests[1:], strict=False):
        assert before.ended is not None
        assert after.started - before.ended >= 0.049
    assert {call.code for call in simulator.requests} == {"1000000"}


@GENERATION1
async def test_cancelled_callers_let_the_next_one_go(http: aiohttp.ClientSession, simulator: PortalSimulator) -> None:
    """One is cancelled while the portal answers it, one while it pauses, one while it waits for its turn."""
    client = client_of(http, simulator.url, None, pause=0.1)
    await client.sign_in()
    simulator.delay = 0.05
    callers = [asyncio.create_task(client.stations()) for _ in range(4)]
    await asyncio.sleep(0.12)
    callers[0].cancel()
    await asyncio.sleep(0.02)
    callers[1].cancel()
    callers[2].cancel()
    assert len(await callers[3]) == 1
    assert [call.code for call in simulator.requests] == ["1000000"] * 3


# What can go wrong


@pytest.mark.parametrize(
    ("answer", "error", "retry_after"),
    [
        (web.HTTPTooManyRequests, BusyError, None),
        (lambda: web.HTTPTooManyRequests(headers={"Retry-After": "120"}), BusyError, 120),
        (lambda: web.HTTPTooManyRequests(headers={"Retry-After": "soon"}), BusyError, None),
        (
            lambda: web.HTTPServiceUnavailable(
                headers={"Retry-After": "Wed, 21 Oct 2015 07:30:00 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}
            ),
            BusyError,
            120,
        ),
        (web.HTTPInternalServerError, BusyError, None),
        (web.HTTPBadGateway, BusyError, None),
        (web.HTTPServiceUnavailable, BusyError, None),
        (web.HTTPForbidden, ResponseError, None),
        (web.HTTPNotFound, ResponseError, None),
    ],
)
async def test_http_status(
    http: aiohttp.ClientSession, answer: Any, error: type[SourceError], retry_after: float | None
) -> None:
    def fail(_: web.Request) -> web.StreamResponse:
        raise answer()

    for where in ("answer", "login"):
        portal_is = {"answer": fail} if where == "answer" else {"answer": lambda _: success({}), "login": fail}
        async with odd_portal(**portal_is) as portal:
            with pytest.raises(error) as raised:
                await client_of(http, portal.url).stations()
            assert getattr(raised.value, "retry_after", None) == retry_after


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"code": "3010107", "msg": "system busy"}', BusyError),
        (b'{"code": 3010107}', BusyError),
        (b'{"code": "1", "msg": "no"}', ResponseError),
        (b"", ResponseError),
        (b"null", ResponseError),
        (b"[]", ResponseError),
        (b"{}", ResponseError),
        (b'{"code": "1000000"', ResponseError),
        (b'{"code": "1000000"}', ResponseError),
        (b'{"code": "1000000", "data": null}', ResponseError),
        (b'{"code": "1000000", "data": []}', ResponseError),
        (b'{"code": "1000000", "data": {"top10List": null}}', ResponseError),
        (b'{"code": "1000000", "data": {"top10List": [{"stationName": "x"}]}}', ResponseError),
        (b'{"code": "1000000", "data": {"top10List": [{"stationId": 1e18}]}}', ResponseError),
        (b"\xff\xfe\x00", ResponseError),
        (b"[" * 100_000, ResponseError),
        (b'{"code": ' + b"9" * 5000 + b"}", ResponseError),
    ],
)
async def test_body(http: aiohttp.ClientSession, body: bytes, error: type[SourceError]) -> None:
    async with odd_portal(lambda _: body) as portal:
        with pytest.raises(error):
            await client_of(http, portal.url).stations()


async def test_code_as_a_number_and_ids_as_numbers(http: aiohttp.ClientSession) -> None:
    body = b'{"code": 1000000, "data": {"top10List": [{"stationId": 1587705243920052226}, "nonsense"]}}'
    async with odd_portal(lambda _: body) as portal:
        assert await client_of(http, portal.url).stations() == [
            Station(id="1587705243920052226", name="1587705243920052226")
        ]


@pytest.mark.parametrize("login", [{"code": "3010022"}, {"code": "AUTH_0001"}, {"code": "5", "msg": None}])
async def test_refused_login(http: aiohttp.ClientSession, login: dict[str, Any]) -> None:
    async with odd_portal(lambda _: success({}), login=lambda _: login) as portal:
        with pytest.raises(AuthenticationError):
            await client_of(http, portal.url).sign_in()


@pytest.mark.parametrize("login", [b"<html>Maintenance", success({}), success(None), success({"token": ""})])
async def test_login_that_makes_no_sense(http: aiohttp.ClientSession, login: Any) -> None:
    """Nobody is asked for a password because of a maintenance page."""
    async with odd_portal(lambda _: success({}), login=lambda _: login) as portal:
        with pytest.raises(ResponseError):
            await client_of(http, portal.url).stations()


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    ],
)
async def test_broken_connection(http: aiohttp.ClientSession, reply: bytes) -> None:
    async with raw_server(reply) as url:
        with pytest.raises(SourceConnectionError):
            await client_of(http, url).stations()


async def test_hanging_connection(http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TIMEOUT", aiohttp.ClientTimeout(total=0.05))
    async with raw_server(None) as url:
        with pytest.raises(SourceConnectionError, match="in time"):
            await client_of(http, url).stations()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "it refuses the connection"),
        ("https://127.0.0.1:1", "it refuses the connection"),
        ("http://nowhere.invalid", "its name is not known"),
        ("http://:80", "its address is not valid"),
    ],
)
async def test_unreachable(http: aiohttp.ClientSession, url: str, words: str) -> None:
    with pytest.raises(SourceConnectionError) as raised:
        await client_of(http, url).stations()
    assert str(raised.value) == f"The portal cannot be reached: {words}"


async def test_broken_tls(http: aiohttp.ClientSession, simulator: PortalSimulator) -> None:
    with pytest.raises(SourceConnectionError) as raised:
        await client_of(http, simulator.url.replace("http:", "https:")).stations()
    assert str(raised.value) == "The portal cannot be reached: there is no encrypted connection to it"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "the connection broke"),
        (b"nonsense\r\n\r\n", "its answer is not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{", "its answer ended too early"),
    ],
)
async def test_broken_answer_is_told_in_words_of_our_own(http: aiohttp.ClientSession, reply: bytes, words: str) -> None:
    async with raw_server(reply) as url:
        with pytest.raises(SourceConnectionError) as raised:
            await client_of(http, url).stations()
    assert str(raised.value) == f"The portal cannot be reached: {words}"


@pytest.mark.parametrize("asked", [1e300, float("inf"), 3601, 3600, -5])
def test_nobody_sets_a_pause_of_more_than_an_hour(asked: float) -> None:
    assert BusyError("busy", asked).retry_after == (0 if asked < 0 else 3600)


async def test_missing_nodes_are_no_values(http: aiohttp.ClientSession) -> None:
    async with odd_portal(lambda _: success({})) as portal:
        reading = await client_of(http, portal.url).station_reading("1")
    assert not any(getattr(reading, name) is not None for name in StationReading.__dataclass_fields__)


async def test_spellings_of_a_device(http: aiohttp.ClientSession) -> None:
    config = [
        {
            "labelId": "203",
            "data": [{"field": "Battery_P", "value": "-250 W", "unit": "kW"}, "nonsense", {"field": "SOC"}],
        },
        {"labelId": 206, "data": [{"a": {"field": "Vgrid_PhaseB", "value": "230.1"}, "b": None}]},
        {
            "labelId": 502,
            "data": [
                {"a": {"value": "PV3"}, "b": {"field": "power3", "value": 1.5}},
                {"x": {"field": "V4", "value": 1}},
            ],
        },
        {"labelId": 999, "data": None},
    ]

    def answer(request: web.Request) -> dict[str, Any]:
        return success([{"deviceId": 7, "deviceSn": "SN"}] if "devices" in request.path else {"config": config})

    async with odd_portal(answer) as portal:
        reading = await client_of(http, portal.url).inverter_reading("1", "SN")
    assert reading == InverterReading(
        battery=BatteryReading(power=-250.0),
        phases={2: PhaseReading(voltage=230.1)},
        strings={3: StringReading(power=1500.0), 2: StringReading(voltage=1.0)},
    )


@pytest.mark.parametrize("curve", [[{"date": "nonsense"}], [{"date": "32", "eTotal": 1}], [{}]])
async def test_rows_without_a_date(http: aiohttp.ClientSession, curve: Any) -> None:
    async with odd_portal(lambda _: success({"curve": curve})) as portal:
        with pytest.raises(ResponseError):
            await client_of(http, portal.url).month_rows("1", 2024, 2)
        with pytest.raises(ResponseError):
            await client_of(http, portal.url).day_usage("1", date(2024, 2, 1))


@pytest.mark.parametrize("data", [None, {}, {"curve": None}, {"curve": []}])
async def test_no_rows(http: aiohttp.ClientSession, data: Any) -> None:
    async with odd_portal(lambda _: success(data)) as portal:
        client = client_of(http, portal.url)
        assert await client.month_rows("1", 2024, 2) == []
        assert (await client.day_usage("1", date(2024, 2, 1))).points == ()


async def test_no_secret_in_an_error(http: aiohttp.ClientSession) -> None:
    """A portal may echo what it was sent."""
    secrets = f"{CREDENTIALS.email.upper()} {CREDENTIALS.digest} {TOKEN}"
    refusal = {"code": "5", "msg": f"no such user: {secrets}"}
    async with odd_portal(lambda _: refusal) as portal:
        client = client_of(http, portal.url)
        with pytest.raises(ResponseError) as raised:
            await client.stations()
    for text in (str(raised.value), repr(raised.value), repr(CREDENTIALS), repr(client)):
        for secret in (CREDENTIALS.email, CREDENTIALS.digest, TOKEN):
            assert secret.lower() not in text.lower()
    assert str(raised.value) == "The portal refuses (code 5)"


# Which generation a refusal is of


@pytest.mark.parametrize("code", ["3010001", "999", "no such user"])
async def test_unknown_refusal_is_tried_in_the_other_generation(http: aiohttp.ClientSession, code: str) -> None:
    """A portal of generation 2 may refuse a login of generation 1 with a code of its own."""

    def login(request: web.Request) -> web.StreamResponse | dict[str, Any]:
        if request.path.startswith("/api/sys/"):
            return {"code": code, "msg": "no"}
        return web.json_response(success(None), headers={"token": "t"})

    async with odd_portal(lambda _: success({"records": []}), login=login) as portal:
        client = client_of(http, portal.url)
        assert await client.stations() == []
        assert client.api_version == 2
        assert [path for path in portal.paths if "login" in path] == ["/api/sys/login/manager", "/monitor/auth/login"]


@pytest.mark.parametrize("other", [web.HTTPNotFound, web.HTTPServiceUnavailable, web.HTTPFound, None])
async def test_refusal_stands_where_no_other_generation_is_spoken(http: aiohttp.ClientSession, other: Any) -> None:
    """Whatever stands at the other's path: it is tried once, and the password is wrong."""

    def login(request: web.Request) -> web.StreamResponse | dict[str, Any] | bytes:
        if request.path.startswith("/api/sys/"):
            return {"code": "3010001", "msg": "no"}
        if other is None:
            return b"<html>"
        return web.Response(status=other.status_code, headers={"Location": "/"})

    async with odd_portal(lambda _: success({}), login=login) as portal:
        with pytest.raises(AuthenticationError, match="code 3010001"):
            await client_of(http, portal.url).sign_in()
        assert portal.paths == ["/api/sys/login/manager", "/monitor/auth/login"]


@pytest.mark.parametrize("known", [1, 2])
async def test_refusal_of_the_generation_that_is_known_stands_at_once(http: aiohttp.ClientSession, known: int) -> None:
    async with odd_portal(lambda _: success({}), login=lambda _: {"code": "999"}) as portal:
        with pytest.raises(AuthenticationError):
            await client_of(http, portal.url, generation=known).sign_in()
        assert len(portal.paths) == 1


async def test_refusal_stands_at_once_after_a_login_that_succeeded(
    http: aiohttp.ClientSession, simulator: PortalSimulator, generation: int
) -> None:
    """The portal speaks both, and the first login found out which one serves."""
    simulator.speaks = {1, 2}
    client = client_of(http, simulator.url, Credentials(VILLAGE, digest_of(simulator.accounts[VILLAGE].password)))
    await client.stations()
    simulator.accounts[VILLAGE].password = "changed"
    known = len(simulator.requests)
    with pytest.raises(AuthenticationError):
        await client.sign_in()
    assert len(simulator.requests) == known + 1


async def test_no_more_than_three_refusals_whatever_refuses(http: aiohttp.ClientSession) -> None:
    """Both generations refuse: two at first, and one more by whoever asks later."""
    async with odd_portal(lambda _: success({}), login=lambda _: {"code": "999"}) as portal:
        client = client_of(http, portal.url)
        with pytest.raises(AuthenticationError):
            await client.sign_in()
        budget = client.connection._auth.budget
        assert budget.refused == 2
        budget.not_before = 0.0
        with pytest.raises(AuthenticationError):
            await client.stations()
        assert len(portal.paths) == 3


# A token that is renewed


async def test_answer_to_an_old_token_does_not_replace_a_newer_one(http: aiohttp.ClientSession) -> None:
    """A job in the background waits for its turn with the token it began with; a person signs in meanwhile."""
    asked: list[str] = []
    names = iter(["first", "second"])

    def login(_: web.Request) -> web.StreamResponse:
        return web.json_response(success(None), headers={"token": next(names)})

    def answer(request: web.Request) -> web.StreamResponse:
        token = request.headers["token"]
        asked.append(token)
        return web.json_response(success({"records": []}), headers={"token": f"{token} renewed"})

    async with odd_portal(answer, login=login) as portal:
        limiter = RateLimiter(0)
        client = Client(
            Connection(http, CREDENTIALS, time_zone=BERLIN, url=portal.url, rate_limiter=limiter, api_version=2)
        )
        await client.sign_in()
        with limiter.foreground():
            job = asyncio.create_task(Client(client.connection, background=True).stations())
            await asyncio.sleep(0.05)
            await client.sign_in()
        await job
        await client.stations()
        await client.stations()
    assert asked == ["first", "second", "second renewed"]
