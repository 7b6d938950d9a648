"""A plant whose battery does what the inverter's settings tell it, instead of what the plant's model has it do."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from math import inf
from typing import override

from tests.portal_simulator import STEP, Clock, Energies, InverterPowers, Plant, Powers
from tests.portal_simulator.plant import Battery, Inverter

_SAME = 1e-6
"""kWh by which two contents of a battery may differ and be the same."""


@dataclass(frozen=True, kw_only=True)
class Control:
    """The settings that move the battery.

    `told` is the battery's power in W while the inverter is under command, positive when discharging; None while it
    covers the household's consumption itself. `most_output` and `most_input` (negative) bound the inverter's AC power
    in W while it is under command. `reserve` is the state of charge in % at which discharging ends if that is above the
    battery's own. `charge` and `discharge` are the most the battery may take and give, in W.
    """

    told: float | None = None
    most_output: float = inf
    most_input: float = -inf
    reserve: float = 0.0
    charge: float = inf
    discharge: float = inf


AS_MODELLED = Control()


@dataclass(frozen=True)
class _Stretch:
    """A part of a step in which the battery does not do what the model says.

    Seconds since the epoch, W, kWh. `before` is by what the energies differ from the model's up to its start.
    """

    start: float
    end: float
    battery: float
    modelled: float
    rest: float
    """W that the household takes beyond the PV power."""
    stored: float
    before: Energies

    def stored_at(self, second: float, efficiency: float) -> float:
        """The battery's content at a second of it."""
        return self.stored - _drained(self.battery, second - self.start, efficiency)

    def difference(self, second: float) -> Energies:
        """By what the energies differ from the model's up to a second after its start."""
        kwh_a_watt = (min(second, self.end) - self.start) / 3.6e6
        real, modelled = _energies(self.rest, self.battery), _energies(self.rest, self.modelled)
        return self.before + Energies(**{f.name: kwh_a_watt * getattr(real - modelled, f.name) for f in fields(real)})


def _energies(rest: float, battery: float) -> Energies:
    """What flows, in W in place of kWh."""
    grid = rest - battery
    return Energies(
        import_=max(0.0, grid), export=max(0.0, -grid), charge=max(0.0, -battery), discharge=max(0.0, battery)
    )


def _drained(watts: float, seconds: float, efficiency: float) -> float:
    """KWh by which a battery's content falls."""
    return (watts / efficiency if watts > 0 else watts * efficiency) * seconds / 3.6e6


class CommandedPlant(Plant):
    """A plant under the settings of one of its inverters.

    It is the plant of the model until `command` changes what the battery does, and is so again once the battery is left
    to itself and has reached the content that it has in the model. In between PV and household are those of the model,
    the grid gives and takes what is lacking and left. Nothing is known beyond the clock's present: there it is the
    model's.
    """

    def __init__(self, plant: Plant, clock: Clock, inverter: Inverter) -> None:
        self.__dict__ = {**plant.__dict__}
        self._plant: Plant = plant
        self._clock = clock
        self._inverter = inverter
        self._control = AS_MODELLED
        self._stretches: list[_Stretch] = []
        self._until: float | None = None
        """Until when the battery's deviation is known; None while there is none."""
        self._stored = 0.0

    def command(self, control: Control) -> None:
        """Let the battery do something else from now on."""
        battery = self._inverter.battery
        if battery is None or control == self._control:
            return
        now = self._clock.now()
        self._proceed(now)
        second = now.timestamp()
        self._stored = self._stored_at(battery, now)
        # What has been laid out until the end of the step does not come about.
        while self._stretches and self._stretches[-1].start >= second:
            self._stretches.pop()
        if self._stretches and self._stretches[-1].end > second:
            self._stretches[-1] = replace(self._stretches[-1], end=second)
        self._control = control
        self._until = second

    @override
    def power(self, moment: datetime) -> Powers:
        powers = self._plant.power(moment)
        stretch = self._stretch(moment)
        battery = self._inverter.battery
        if stretch is None or battery is None or stretch.end <= moment.timestamp():
            return powers
        inverters: Mapping[str, InverterPowers] = {
            device_id: replace(share, battery=stretch.battery) if device_id == self._inverter.device_id else share
            for device_id, share in powers.inverters.items()
        }
        return replace(
            powers,
            battery=stretch.battery,
            grid=powers.load - powers.pv - stretch.battery,
            soc=100 * stretch.stored / battery.capacity,
            inverters=inverters,
        )

    @override
    def energy(self, start: datetime, end: datetime) -> Energies:
        energies = self._plant.energy(start, end)
        if end <= start:
            return energies
        return energies + (self._difference(end) - self._difference(start))

    def _difference(self, moment: datetime) -> Energies:
        stretch = self._stretch(moment)
        return stretch.difference(moment.timestamp()) if stretch else Energies()

    def _stretch(self, moment: datetime) -> _Stretch | None:
        """The stretch that holds a moment, or the last before it."""
        self._proceed(min(moment, self._clock.now()))
        index = bisect_right(self._stretches, moment.timestamp(), key=lambda stretch: stretch.start)
        return self._stretches[index - 1] if index else None

    def _stored_at(self, battery: Battery, moment: datetime) -> float:
        """The battery's content."""
        second, stretch = moment.timestamp(), self._stretch(moment)
        if stretch is not None and stretch.end > second:
            return stretch.stored_at(second, battery.efficiency)
        if self._until is not None:
            return self._stored
        powers = self._plant.power(moment)
        return battery.capacity * (powers.soc or 0.0) / 100 - _drained(
            powers.battery, second % STEP, battery.efficiency
        )

    def _proceed(self, moment: datetime) -> None:
        """Lay out what the battery does up to the end of the step that holds a moment."""
        battery = self._inverter.battery
        while battery is not None and self._until is not None and self._until <= moment.timestamp():
            start = self._until
            powers = self._plant.power(datetime.fromtimestamp(start, UTC))
            modelled = battery.capacity * (powers.soc or 0.0) / 100
            if self._control == AS_MODELLED and start % STEP == 0 and abs(self._stored - modelled) < _SAME:
                self._until = None
                return
            end = (start // STEP + 1) * STEP
            before = self._stretches[-1].difference(start) if self._stretches else Energies()
            flow = self._flow(battery, powers, (end - start) / 3.6e6)
            stretch = _Stretch(start, end, flow, powers.battery, powers.load - powers.pv, self._stored, before)
            self._stretches.append(stretch)
            self._stored = stretch.stored_at(end, battery.efficiency)
            self._until = end

    def _flow(self, battery: Battery, powers: Powers, kwh_a_watt: float) -> float:
        """The battery's power in W until the end of a step, positive when discharging."""
        control = self._control
        own = sum(powers.inverters[self._inverter.device_id].strings.values())
        wanted = powers.load - powers.pv
        if control.told is not None:
            wanted = min(max(control.told, control.most_input - own), control.most_output - own)
        if wanted <= 0:
            room = max(0.0, battery.capacity - self._stored) / battery.efficiency / kwh_a_watt
            return -min(-wanted, battery.power, control.charge, room)
        reserve = battery.capacity * max(battery.reserve, control.reserve) / 100
        left = max(0.0, self._stored - reserve) * battery.efficiency / kwh_a_watt
        return min(wanted, battery.power, control.discharge, max(0.0, self._inverter.rated - own), left)
