"""Credentials of an account on the portal."""

from dataclasses import dataclass, field
from hashlib import md5


def digest_of(password: str) -> str:
    """Return the hash of a password, which the portal asks for instead."""
    return md5(password.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Credentials:
    """The e-mail of an account and the hash of its password."""

    email: str = field(repr=False)
    digest: str = field(repr=False)
