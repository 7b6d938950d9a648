"""A client for M-TEC's portal. Independent of Home Assistant."""

from .auth import Credentials, digest_of
from .client import PORTAL_URL, Client
from .rate_limiter import RateLimiter

__all__ = ["PORTAL_URL", "Client", "Credentials", "RateLimiter", "digest_of"]
