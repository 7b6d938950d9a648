"""The command line, against the simulated portal."""

from collections.abc import Awaitable, Callable
import csv
from dataclasses import replace
from datetime import timedelta
import io
import json
import os
from pathlib import Path
import pty
import re
import subprocess
import sys
from typing import Any

from freezegun.api import FrozenDateTimeFactory
import pytest

from cli import app, arguments
from custom_components.mtec import retry as retry_module
from custom_components.mtec.portal import rate_limiter
from tests.portal_simulator import BARN, FARM, HOUSE, PortalSimulator, plant_of

ROOT = Path(__file__).parent.parent
SECRETS = [
    text
    for plant in (HOUSE, BARN, FARM)
    for text in (plant.station_id, plant.name, *(each.name for each in plant.inverters if each.name))
] + [text for plant in (HOUSE, BARN, FARM) for each in plant.inverters for text in (each.serial, each.device_id)]

type Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def generation() -> int:
    """The generation of the API that the portal speaks."""
    return 1


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "PAUSE", 0)
    monkeypatch.setattr(rate_limiter, "FIRST_BACKOFF", 0.001)
    for name in ("REQUESTS_A_MINUTE", "BACKGROUND_REQUESTS_A_MINUTE"):
        monkeypatch.setattr(rate_limiter, name, 100_000)
    for name in ("MTEC_EMAIL", "MTEC_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "Europe/Berlin")


@pytest.fixture
def run(simulator: PortalSimulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line as the village. Returns the exit code, the output and the errors."""

    async def run_words(*words: str, who: str = "village", typed: str = "") -> tuple[int, str, str]:
        accounts = {
            "village": ["--email", "village@example.com", "--password", "together"],
            "demo": ["--demo"],
            "nobody": [],
        }
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        capsys.readouterr()
        try:
            code = await app.run(["--url", simulator.url, *accounts[who], *words])
        except SystemExit as error:
            code = int(str(error.code))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_words


async def test_stations(run: Run) -> None:
    code, out, err = await run("stations")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "Haus am See  (1641023978845093891)",
        "  Energy Butler  (EB083P2304180127, 8.0-3P-25A)",
        'Stall; "Süd"/Müller  (1698675310492876801)',
        "  EB031P2308290046  (EB031P2308290046, 3.0-1P-20A)",
        "Hof Lindner  (1616375590183571459)",
        "  Wohnhaus  (EB103P2301120311, 10.0-3P-25A)",
        "  Scheune  (EB123P2301120348, 12.0-3P-25A)",
    ]
    _, out, _ = await run("stations", "--json")
    stations = json.loads(out)
    assert [each["id"] for each in stations] == [plant.station_id for plant in (HOUSE, BARN, FARM)]
    assert stations[2]["inverters"][1] == {
        "name": "Scheune",
        "serial_number": "EB123P2301120348",
        "model": "12.0-3P-25A",
    }


async def test_station(run: Run, simulator: PortalSimulator) -> None:
    code, out, _ = await run("station", "--station", BARN.name)
    watts = plant_of(BARN, 1).power(simulator.clock.now()).pv
    assert code == 0
    assert out.splitlines()[0] == BARN.name
    assert re.search(rf"pv power +{watts:.0f} W\n", out)
    assert "grid power" not in out
    _, out, _ = await run("station", "--json")
    readings = json.loads(out)
    assert [each["name"] for each in readings] == [HOUSE.name, BARN.name, FARM.name]
    assert readings[1]["reading"]["pv_power"] == pytest.approx(watts, abs=0.6)
    assert readings[1]["reading"]["grid_power"] is None


async def test_inverter(run: Run) -> None:
    code, out, _ = await run("inverter", "--station", FARM.station_id)
    assert code == 0
    assert [line for line in out.splitlines() if not line.startswith(" ")] == ["Wohnhaus", "Scheune"]
    assert re.search(r"phases 1 voltage +231.4 V\n", out)
    _, out, _ = await run("inverter", "--json", who="demo")
    [inverter] = json.loads(out)
    assert inverter["reading"]["phases"]["1"]["voltage"] == 231.4


@pytest.mark.parametrize("generation", [2])
@pytest.mark.parametrize("as_json", [[], ["--json"]])
async def test_inverter_with_the_time_of_its_energies(
    run: Run, monkeypatch: pytest.MonkeyPatch, as_json: list[str]
) -> None:
    """In the computer's own time zone, which has no name."""
    monkeypatch.delenv("TZ")
    code, out, err = await run("inverter", "--station", HOUSE.name, *as_json)
    assert (code, err) == (0, "")
    assert re.search(r"measured\W+20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", out)


@pytest.mark.parametrize("type_", ["day", "month", "year", "lifetime"])
async def test_usage(run: Run, tmp_path: Path, type_: str) -> None:
    words = ("usage", "--type", type_, "--start", "2026-03-28", "--end", "2026-03-30", "--station", HOUSE.name)
    code, out, err = await run(*words, "--decimal", ",")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out), delimiter=";"))
    assert len(rows) == {"day": 288 + 276 + 288, "month": 3, "year": 1, "lifetime": 1}[type_]
    if type_ == "month":
        energies = [plant_of(HOUSE, 1).day(HOUSE.installed.replace(2026, 3, day)).pv for day in (28, 29, 30)]
        assert [float(row["pv_production"].replace(",", ".")) for row in rows] == pytest.approx(energies, abs=0.0051)

    _, as_json, _ = await run(*words, "--json")
    assert [
        {name: "" if value is None else str(value) for name, value in row.items()}.keys() for row in json.loads(as_json)
    ] == [row.keys() for row in rows]

    file = tmp_path / "usage.csv"
    code, nothing, err = await run(*words, "--decimal", ",", "--file", str(file))
    assert (code, nothing, err) == (0, "", "")
    assert file.read_text(encoding="utf-8") == out
    _, tabs, _ = await run(*words, "--delimiter", "tab")
    assert tabs == out.replace(",", ".").replace(";", "\t")
    _, spreadsheet, _ = await run(*words, "--decimal", ",", "--timestamps", "spreadsheet")
    moments = [row["timestamp"][:16].replace("T", " ") for row in rows] if type_ == "day" else []
    assert [line.split(";")[0] for line in spreadsheet.splitlines()[1:]] == (moments or [row["date"] for row in rows])


async def test_days_without_data_are_said_and_end_with_3(run: Run) -> None:
    """Those before the plant are not: nobody misses them."""
    words = ("usage", "--type", "month", "--start", "2023-04-10", "--end", "2023-04-30", "--station", HOUSE.name)
    assert (await run(*words))[::2] == (0, "")
    later = ("usage", "--type", "month", "--start", "2026-06-10", "--end", "2026-06-30", "--station", HOUSE.name)
    code, out, err = await run(*later)
    assert code == 3 and len(out.splitlines()) == 7
    assert err.startswith("The portal has no data of 2026-06-16, 2026-06-17,") and "and 5 more" in err
    whole_month = ("usage", "--type", "month", "--start", "2026-07-01", "--end", "2026-07-03", "--station", HOUSE.name)
    code, _, err = await run(*whole_month)
    assert (code, err) == (3, "The portal has no data of 2026-07-01, 2026-07-02, 2026-07-03.\n")


@pytest.mark.parametrize(
    "words",
    [
        ("month", "--start", "2026-06-14", "--end", "2026-06-20"),
        ("year", "--start", "2026-05-14", "--end", "2026-12-20"),
    ],
    ids=["days", "months"],
)
async def test_days_to_come_are_not_missed(
    run: Run, simulator: PortalSimulator, freezer: FrozenDateTimeFactory, words: tuple[str, ...]
) -> None:
    """Nor is what runs: here the portal knows nothing of it yet."""
    freezer.move_to(simulator.clock.now() + timedelta(days=1 if words[0] == "month" else 30))
    code, out, err = await run("usage", "--type", *words, "--station", HOUSE.name)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 3


async def test_curve_without_data_ends_with_3(run: Run, simulator: PortalSimulator) -> None:
    """A day that the plant has and of which the portal gives an empty curve."""
    words = ("usage", "--type", "day", "--start", "2026-06-20", "--end", "2026-06-20", "--station", HOUSE.name)
    code, out, err = await run(*words)
    assert (code, len(out.splitlines())) == (3, 1)
    assert err == "The portal has no data of 2026-06-20.\n"


async def test_days_missing_because_of_errors_are_said_and_end_with_3(
    run: Run, simulator: PortalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_module, "RETRY_PAUSES", (0.0,))
    simulator.faults.add("malformed", matching="2026-06-11")
    words = ("usage", "--type", "day", "--start", "2026-06-10", "--end", "2026-06-12", "--station", HOUSE.name)
    code, out, err = await run(*words)
    assert code == 3
    assert len(out.splitlines()) == 1 + 2 * 288
    assert "no answer that makes sense of, so that these are left out: 2026-06-11." in err


async def test_no_usage_is_valid_json(run: Run) -> None:
    code, out, _ = await run(
        "usage", "--type", "day", "--start", "2026-06-16", "--end", "2026-06-16", "--json", who="demo"
    )
    # The computer's clock says that the day is over.
    assert (code, json.loads(out)) == (3, [])


@pytest.mark.parametrize(
    "command", ["stations", "station", "inverter", "usage --type month --start 2026-06-01 --end 2026-06-15"]
)
@pytest.mark.parametrize("as_json", [[], ["--json"]])
async def test_nothing_sensitive(run: Run, command: str, as_json: list[str]) -> None:
    words = command.split() + (["--station", "station-2"] if "usage" in command else [])
    code, out, err = await run(*words, *as_json, "--hide-sensitive")
    assert (code, err) == (0, "")
    for secret in [*SECRETS, "village@example.com"]:
        assert secret not in out
    if "usage" not in command:
        assert ("inverter-3" if command == "inverter" else "station-3") in out
        assert (await run(*words, *as_json, "--hide-sensitive"))[1] == out


@pytest.mark.parametrize(
    "words",
    [
        ["station", "--station", "Haus am Meer"],
        ["usage", "--type", "lifetime"],
        ["usage", "--type", "month", "--station", HOUSE.name, "--start", "2020-01-01", "--end", "2020-02-01"],
    ],
)
async def test_nothing_sensitive_in_errors(run: Run, simulator: PortalSimulator, words: list[str]) -> None:
    code, out, err = await run(*words, "--hide-sensitive")
    assert (code, out) == (2, "")
    for secret in [*SECRETS, "Meer"]:
        assert secret not in err


@pytest.mark.parametrize("as_json", [[], ["--json"]])
async def test_short_names_and_free_text_as_a_model_are_hidden(
    run: Run, simulator: PortalSimulator, as_json: list[str]
) -> None:
    """A station's name of three letters is hidden in other names, too."""
    names = {
        HOUSE.name: "Vyk",
        BARN.name: "Qöx",
        FARM.name: "12",
        "Energy Butler": "Vyk's inverter",
        "Wohnhaus": "Erika Mustermann",
        "8.0-3P-25A": "Vyk-8.0",
        "3.0-1P-20A": "Mustermann, 0171 5550123",
        "10.0-3P-25A": "12",
    }
    envelope = simulator._envelope

    def renamed(call: Any, code: str, message: str, data: Any) -> Any:
        text = json.dumps(data, ensure_ascii=False)
        for name, private in names.items():
            text = text.replace(json.dumps(name, ensure_ascii=False), json.dumps(private))
        return envelope(call, code, message, json.loads(text))

    simulator._envelope = renamed  # type: ignore[method-assign]
    code, out, err = await run("stations", *as_json)
    assert (code, err) == (0, "")
    assert "Vyk's inverter" in out
    for command in ("stations", "station", "inverter"):
        code, out, err = await run(command, *as_json, "--hide-sensitive")
        assert (code, err) == (0, "")
        for private in ("Vyk", "Qöx", "Erika", "Mustermann", "5550123", *SECRETS):
            assert private not in out, command
        assert ("inverter-2" if command == "inverter" else "station-2") in out
    _, out, _ = await run("stations", "--json", "--hide-sensitive")
    models = [inverter["model"] for station in json.loads(out) for inverter in station["inverters"]]
    assert models == ["text-1 (7 characters)", "text-2 (24 characters)", "12", "12.0-3P-25A"]
    code, _, err = await run("station", "--station", "Vyk's", "--hide-sensitive")
    assert (code, err) == (2, "There is no such station. The account has: station-1, station-2, station-3.\n")


async def test_what_the_portal_echoes_is_not_shown(run: Run, simulator: PortalSimulator) -> None:
    """Its refusals name the id: nothing is shown of them but the code."""
    stations = simulator.accounts["village@example.com"].stations
    original = simulator.plant
    simulator.plant = lambda station: stations.clear() or original(station)  # type: ignore[method-assign, func-returns-value]
    code, _, err = await run("station", "--hide-sensitive")
    assert code == 1
    assert err == "The portal refuses (code 3010404).\n"


@pytest.mark.parametrize("words", [["stations"], ["--json", "stations"], ["station"], ["--json", "station"]])
async def test_half_a_character_in_a_name_is_printed(run: Run, simulator: PortalSimulator, words: list[str]) -> None:
    """A platform that cuts names to a length leaves half an emoji at the end."""
    [station] = simulator.accounts["2312942037@qq.com"].stations
    station.description = replace(station.description, name="Solar \ud83c")
    code, out, err = await run(*words, who="demo")
    assert (code, err) == (0, "")
    assert "Solar \ufffd" in out


async def test_wrong_password(run: Run) -> None:
    code, out, err = await run("--password", "wrong-horse", "stations")
    assert (code, out, err) == (1, "", "The portal does not accept this e-mail and password.\n")


async def test_no_portal(run: Run) -> None:
    code, out, err = await run("--url", "http://127.0.0.1:1", "stations")
    assert (code, out) == (1, "")
    assert err.startswith("The portal cannot be reached")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["usage", "--type", "month"], "Give a start date"),
        (["usage", "--type", "month", "--start", "2026-06-02", "--end", "2026-06-01"], "after the end date"),
        (["usage", "--type", "month", "--start", "2999-06-02"], "in the future"),
        (["usage", "--type", "month", "--start", "soon"], "invalid"),
        (["usage", "--type", "week", "--start", "2026-06-02"], "invalid choice"),
        (["usage", "--type", "lifetime", "--decimal", ",", "--delimiter", ","], "have to differ"),
        (["usage", "--type", "lifetime"], "several stations"),
        (["--time-zone", "Nowhere/Land", "stations"], "no such time zone"),
        (["nonsense"], "invalid choice"),
    ],
)
async def test_misuse(run: Run, words: list[str], said: str) -> None:
    code, out, err = await run(*words)
    assert (code, out) == (2, "")
    assert said in err


async def test_file_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    words = ("usage", "--type", "lifetime", "--file", str(tmp_path / "no" / "usage.csv"))
    code, _, err = await run(*words, who="demo")
    assert (code, err) == (1, "The file could not be written: No such file or directory.\n")


async def test_credentials_of_the_environment_or_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = await run("stations", who="nobody")
    assert code == 2
    assert "MTEC_EMAIL" in err
    monkeypatch.setattr(arguments, "getpass", lambda: "together")
    code, out, err = await run("stations", who="nobody", typed="village@example.com\n")
    assert (code, err) == (0, "E-mail: ")
    assert HOUSE.name in out
    monkeypatch.setenv("MTEC_EMAIL", "barn@example.com")
    monkeypatch.setenv("MTEC_PASSWORD", "haystack")
    code, out, _ = await run("stations", who="nobody")
    assert code == 0
    assert out.startswith(BARN.name)


async def test_menu(run: Run) -> None:
    typed = "1\n2\n1\n3\n3\n4\n1\n2026-03-29\n5\n2\n2026-05\n9\n4\n1\nsoon\n2\n7\n0\n"
    code, out, err = await run(typed=typed)
    assert code == 0
    for title in ("1  Topology", "2  Station", "3  Inverter", "4  Usage by day", "5  Usage by month", "0  Quit"):
        assert title in out
    assert "  Scheune  (EB123P2301120348, 12.0-3P-25A)" in out
    assert out.count("\n2026-03-29T") == 276
    assert out.count("\n2026-05-") == 31
    for said in ("That is not in the menu.", "That is not a date.", "There is no such station."):
        assert said in err


async def test_menu_ends_with_its_input_and_outlives_the_portal(run: Run, simulator: PortalSimulator) -> None:
    original = simulator.plant

    def once(station: Any) -> Any:
        simulator.plant = original  # type: ignore[method-assign]
        simulator.accounts["2312942037@qq.com"].stations.clear()
        return original(station)

    simulator.plant = once  # type: ignore[method-assign]
    code, out, err = await run(who="demo", typed="2\n2\n1\n")
    assert code == 0
    assert "pv power" in out
    assert "The portal refuses (code 3010404)." in err
    assert out.count("Haus am See") == 1


# As a process of its own


def start(*words: str, **options: Any) -> subprocess.Popen[str]:
    code = "import runpy, sys; sys.path.append(sys.argv.pop(1)); "
    block = "sys.modules['homeassistant'] = None; "
    module = "runpy.run_module('cli', run_name='__main__', alter_sys=True)"
    folder = str(ROOT)
    return subprocess.Popen([sys.executable, "-P", "-c", code + block + module, folder, *words], text=True, **options)


@pytest.fixture
def portal() -> Any:
    """A portal in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.portal_simulator", "--now", "2023-05-10T12:02:30+02:00"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    process.communicate()


def test_without_home_assistant(portal: str) -> None:
    done = start("--demo", "--url", portal, "stations", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = done.communicate()
    assert (done.returncode, err) == (0, "")
    assert out.startswith(HOUSE.name)


def test_progress_on_a_terminal_and_none_in_a_pipe(portal: str, tmp_path: Path) -> None:
    words = ("--demo", "--url", portal, "usage", "--type", "year", "--start", "2023-01-01", "--end", "2023-04-30")
    controller, terminal = pty.openpty()
    shown = start(*words, "--file", str(tmp_path / "usage.csv"), stderr=terminal)
    shown.wait()
    # One after the other: the portal refuses those who come at the same time.
    piped = start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = piped.communicate()
    os.close(terminal)
    seen = os.read(controller, 10_000).decode()
    os.close(controller)
    assert "\r[##############################] 100 %" in seen
    assert seen.endswith("\r")
    assert (shown.returncode, piped.returncode, err) == (0, 0, "")
    assert (tmp_path / "usage.csv").read_text(encoding="utf-8") == out


def test_reader_that_goes(portal: str) -> None:
    done = start("--demo", "--url", portal, "stations", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.stdout is not None and done.stderr is not None
    done.stdout.close()
    assert done.stderr.read() == ""
    done.wait()
    done.stderr.close()


def test_script_passes_its_words_on() -> None:
    script = (ROOT / "scripts" / "mtec").read_text(encoding="utf-8")
    [code] = re.findall(r"-P -c '\n(.*?)'", script, re.DOTALL)
    folder = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, folder, "--help"], capture_output=True, text=True, check=True
    )
    assert "--hide-sensitive" in done.stdout
