"""What can go wrong between a caller and the portal."""

from typing import Final

LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds at the most that a portal is taken at its word: its clock may be wrong."""


class PortalError(Exception):
    """The portal did not give what was asked of it.

    The text is safe to log: it has no secret and, but for a short code, no text of the portal's.
    """


class AuthenticationError(PortalError):
    """The portal does not accept the e-mail and password."""


class PortalConnectionError(PortalError):
    """The portal could not be reached, or the connection broke: DNS, TLS, timeout, reset."""


class BusyError(PortalError):
    """The portal refuses for the moment: code 3010107, HTTP 429 or 5xx.

    `retry_after` is the pause in seconds that the portal asks for, never more than LONGEST_RETRY_AFTER. None if it did
    not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = None if retry_after is None else min(max(retry_after, 0.0), LONGEST_RETRY_AFTER)


class ResponseError(PortalError):
    """The portal answered, but with something that cannot be understood, or refused the request."""
