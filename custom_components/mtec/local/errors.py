"""Errors of an inverter in the home network, each of which a person can do something else about."""

from custom_components.mtec.sources import ResponseError, SourceConnectionError


class NoAnswerError(SourceConnectionError):
    """Nothing answers at the address, or not in time."""


class UnreachableError(NoAnswerError):
    """No connection to the address and port can be opened."""


class ConnectionHeldError(SourceConnectionError):
    """A connection is opened, but closed from the other side before the first answer.

    The inverter has one client at a time: most likely that is another one.
    """


class ConnectionClosedError(SourceConnectionError):
    """A connection that was in use is closed from the other side."""


class RefusedError(ResponseError):
    """The inverter refuses to read these registers."""


class WriteRefusedError(ResponseError):
    """The inverter refuses a write with an exception of Modbus, whose code is None if it is not known."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"The inverter refuses to take this (code {'unknown' if code is None else code})")
        self.code = code


class NotTakenError(ResponseError):
    """The inverter confirmed a write, or did not answer it, and afterwards it still has another value."""


class InvalidSettingError(ResponseError):
    """A value was not sent, because it is out of its range or between its steps."""


class NotAnInverterError(ResponseError):
    """Something answers, but it is no inverter of this kind."""


class UnsupportedHardwareError(ResponseError):
    """It is an inverter of the second hardware generation, which has other registers."""


class OtherInverterError(ResponseError):
    """Another inverter than before answers at the address.

    `serial_number` is that of the one that answers.
    """

    def __init__(self, serial_number: str) -> None:
        super().__init__("Another inverter than before answers there")
        self.serial_number = serial_number
