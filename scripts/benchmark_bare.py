"""Exports curves with nothing but requests, json and csv: the yardstick of the integration's own exports."""

from base64 import b64encode
import csv
from datetime import date, datetime, timedelta
from hashlib import md5
import json
from pathlib import Path
import sys
from time import process_time
from typing import Any
from zoneinfo import ZoneInfo

import requests

EMAIL, PASSWORD = "family@example.com", "sunshine"
ZONE = ZoneInfo("Europe/Vienna")


def export(url: str, station_id: str, first: date, last: date, path: Path) -> None:
    """Write the curves of some days to a file."""
    http = {"Content-Type": "application/json; charset=UTF-8"}

    def ask(name: str, payload: dict[str, Any]) -> Any:
        answer = requests.request("POST", f"{url}/api/sys/{name}", headers=http, json=payload, timeout=10)
        return json.loads(answer.content)["data"]

    digest = md5(PASSWORD.encode(), usedforsecurity=False).hexdigest()
    sent = b64encode(digest.encode()).decode()
    login = {"channel": 1, "email": EMAIL, "password": sent, "salt": digest}
    http["Authorization"] = ask("login/manager", login)["token"]
    query = {"stationId": station_id, "durationType": 1, "stationType": 0, "type": "powerflow", "timeZoneOffset": 60}
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            for point in ask("curve/station/queryStationCurve", query | {"date": day.isoformat()})["curve"]:
                start = datetime.fromtimestamp(point["dateStamp"] / 1000, ZONE).isoformat()
                writer.writerow([start, *(point[name] for name in ("loadPower", "pMeter", "power", "battery", "SOC"))])


if __name__ == "__main__":
    started = process_time()
    export(
        sys.argv[1], sys.argv[2], date.fromisoformat(sys.argv[3]), date.fromisoformat(sys.argv[4]), Path(sys.argv[5])
    )
    print(process_time() - started)
