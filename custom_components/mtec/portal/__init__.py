"""A client for M-TEC's portal, independent of Home Assistant."""

from .auth import Credentials, digest_of
from .client import PORTAL_URL, Client, Connection
from .rate_limiter import RateLimiter

__all__ = ["PORTAL_URL", "Client", "Connection", "Credentials", "RateLimiter", "digest_of"]
