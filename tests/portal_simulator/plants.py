"""The plants and accounts the simulated portal knows.

The portal writes values in several manners, called spellings, each seen somewhere. "plain" is exactly what was observed
of M-TEC's portal, and in generation 2 today's names with numbers as numbers: clients that were written for the real
portals read it. "text", "number" and "odd" have oddities that a client may meet. "sister" has in generation 2 the other
names that clients of the sister portal know, powers of an inverter in W, and no type of a device.
"""

from dataclasses import dataclass, field, replace
from datetime import date

from .plant import Battery, Inverter, PlantDescription, PvString, Spelling

HOUSE = PlantDescription(
    station_id="1641023978845093891",
    name="Haus am See",
    installed=date(2023, 4, 18),
    household=380,
    time_zone="Europe/Berlin",
    spelling="text",
    inverters=(
        Inverter(
            device_id="1641024112637198337",
            name="Energy Butler",
            serial="EB083P2304180127",
            model="8.0-3P-25A",
            rated=8000,
            strings=(PvString("PV1", 4800, azimuth=180), PvString("PV2", 3200, azimuth=270)),
            battery=Battery(capacity=10.2, power=5000),
            meter=True,
        ),
    ),
)

BARN = PlantDescription(
    station_id="1698675310492876801",
    name='Stall; "Süd"/Müller',
    installed=date(2023, 9, 5),
    household=150,
    time_zone="Europe/Berlin",
    spelling="odd",
    inverters=(
        Inverter(
            device_id="1698675402716553217",
            name="",
            serial="EB031P2308290046",
            model="3.0-1P-20A",
            rated=3000,
            strings=(PvString("PV1", 3400, azimuth=200, tilt=20),),
            phases="A",
        ),
    ),
)

FARM = PlantDescription(
    station_id="1616375590183571459",
    name="Hof Lindner",
    installed=date(2023, 1, 20),
    household=900,
    time_zone="Europe/Berlin",
    inverters=(
        Inverter(
            device_id="1616375661729357825",
            name="Wohnhaus",
            serial="EB103P2301120311",
            model="10.0-3P-25A",
            rated=10000,
            strings=(PvString("PV1", 5200, azimuth=180), PvString("PV2", 4600, azimuth=90)),
            battery=Battery(capacity=15.3, power=7500),
            meter=True,
        ),
        Inverter(
            device_id="1616376043827150849",
            name="Scheune",
            serial="EB123P2301120348",
            model="12.0-3P-25A",
            rated=12000,
            strings=(
                PvString("PV1", 5600, azimuth=135, tilt=15),
                PvString("PV2", 5600, azimuth=225, tilt=15),
                PvString("PV3", 3000, azimuth=315, tilt=15),
            ),
        ),
    ),
)

CABIN = PlantDescription(
    station_id="1712034488105541634",
    name="Hütte",
    installed=date(2023, 10, 12),
    household=60,
    time_zone="Europe/Berlin",
    spelling="plain",
    not_measured=0.0,
    inverters=(
        Inverter(
            device_id="1712034561992450049",
            name="Dach",
            serial="EB031P2310050112",
            model="3.0-1P-20A",
            rated=3000,
            strings=(PvString("PV1", 2600, azimuth=160, tilt=45),),
            phases="A",
        ),
    ),
)


@dataclass
class Station:
    """A plant as the portal shows it.

    Take inverters out of `inverters` and put them back (those of the description) to let them go and come. `outage`
    makes the portal report an interrupted grid; the plant's powers stay as they are. `fault` is what the inverters
    report as their first word of fault flags, in generation 2. `offline` makes the overview say that all inverters are
    offline, with values of an hour ago. `spelling` is that of the plant unless another is given.
    """

    description: PlantDescription
    outage: bool = False
    fault: int = 0
    offline: bool = False
    spelling: Spelling | None = None
    inverters: list[Inverter] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with all inverters of the plant."""
        self.inverters = list(self.description.inverters)


def copies_of(plant: PlantDescription, count: int) -> list[Station]:
    """Return stations like a plant, of June 2026, each with one inverter. Their ids and names are numbered from 1."""
    return [
        Station(
            replace(
                plant,
                station_id=f"{number}",
                name=f"{plant.name} {number}",
                installed=date(2026, 6, 1),
                inverters=(replace(plant.inverters[0], device_id=f"9{number}", serial=f"EB{number:04}"),),
            )
        )
        for number in range(1, count + 1)
    ]


@dataclass
class Account:
    """A login. `stations` and `password` can be changed while the simulator runs; a `demo` login needs no password."""

    email: str
    password: str
    about: str
    stations: list[Station]
    demo: bool = False


def make_accounts() -> dict[str, Account]:
    """Fresh accounts by their e-mail in lower case; accounts with the same plant and spelling share one station."""
    house, barn, farm, plain = Station(HOUSE), Station(BARN), Station(FARM), Station(HOUSE, spelling="plain")
    sister = Station(HOUSE, spelling="sister")
    accounts = (
        Account("family@example.com", "sunshine", "a plant with battery and meter", [house]),
        Account("barn@example.com", "haystack", "a plant with PV only: no battery, no meter, one string", [barn]),
        Account("farm@example.com", "tractor", "a plant with two inverters, one with battery and meter", [farm]),
        Account("village@example.com", "together", "all three plants", [house, barn, farm]),
        Account(
            "cabin@example.com",
            "woodstove",
            "a plant with PV only, whose rows say 0.0 for what it lacks",
            [Station(CABIN)],
        ),
        Account(
            "sunways@example.com", "daylight", "battery and meter, with plain numbers: for clients of Sunways", [plain]
        ),
        Account(
            "sister@example.com",
            "aunt",
            "battery and meter, with other names and powers in W in generation 2",
            [sister],
        ),
        Account("empty@example.com", "nothing", "no plants", []),
        Account(
            "2312942037@qq.com",
            "demo",
            "the public demo account: battery and meter, as M-TEC's portal was observed",
            [plain],
            demo=True,
        ),
    )
    return {account.email: account for account in accounts}
