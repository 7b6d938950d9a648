"""The body of an answer: read up to a limit, unpacked, and parsed where that holds up nobody."""

import asyncio
from dataclasses import dataclass
import json
import re
from typing import Any, Final
import zlib

import aiohttp

from custom_components.mtec.sources import (
    ResponseError,
    SourceConnectionError,
)

from .values import encodable

LARGEST: Final = 8 * 1024 * 1024
"""Bytes of a body at the most. A day of an inverter, the largest answer known, has some hundred kB."""
LARGEST_PACKED: Final = 1024 * 1024
"""Bytes of a body at the most that comes compressed."""
DEEPEST: Final = 1000
"""Lists and objects in one another at the most. Known answers have less than ten; many more take seconds to parse."""

ACCEPT_ENCODING: Final = "gzip, deflate"
"""What `read_body` can unpack."""

_LARGE = 64 * 1024
"""Bytes from which on a body is parsed in a thread."""

_ZLIB_METHOD = 8
"""The lower half of the first byte of deflated data with a header of zlib's; some servers leave that out."""

_SURROGATES = re.compile(
    r"(\\\\|\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2})|\\u[dD][89a-fA-F][\da-fA-F]{2}", re.ASCII
)
"""How JSON writes a backslash or a surrogate pair, which is the group, or half of one."""
_NO_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[^\[\]{}"]++', re.DOTALL)
"""Texts, ended or not, and all else but the brackets of lists and objects."""


@dataclass(frozen=True, slots=True)
class Body:
    """The body of an answer. `is_json` tells whether it is JSON, and `tree` what that says. `size` is in bytes."""

    size: int
    is_page: bool = False
    is_json: bool = False
    tree: Any = None


async def read_body(response: aiohttp.ClientResponse) -> Body:
    """Return the body of a response, which has to be requested without automatic decompression.

    Raises ResponseError if it is too large or compressed in a way that was not asked for, SourceConnectionError if its
    compression is damaged, and what aiohttp raises if the connection breaks.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower().removeprefix("x-")
    if encoding in {"", "identity"}:
        raw = await _read(response, LARGEST)
        return await asyncio.to_thread(_parsed, raw) if len(raw) > _LARGE else _parsed(raw)
    if encoding not in {"gzip", "deflate"}:
        raise ResponseError("The portal's answer is compressed in a way that was not asked for")
    packed = await _read(response, LARGEST_PACKED)
    return await asyncio.to_thread(_unpacked_and_parsed, packed, encoding)


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the bytes of a body. Raises ResponseError at the latest when `limit` bytes are read and there are more."""
    read = bytearray()
    if (response.content_length or 0) <= limit:
        async for chunk in response.content.iter_any():
            read += chunk
            if len(read) > limit:
                break
        else:
            return bytes(read)
    raise _too_large()


def _too_large() -> ResponseError:
    return ResponseError("The portal's answer is too large")


def _unpacked_and_parsed(packed: bytes, encoding: str) -> Body:
    return _parsed(_unpacked(packed, encoding) if packed else packed)


def _unpacked(packed: bytes, encoding: str) -> bytes:
    """Return what was compressed. Raises SourceConnectionError if it is damaged, ResponseError if it is too large."""
    if encoding == "gzip":
        window = 16 + zlib.MAX_WBITS
    else:
        window = zlib.MAX_WBITS if packed[0] & 0xF == _ZLIB_METHOD else -zlib.MAX_WBITS
    unpacker = zlib.decompressobj(window)
    try:
        body = unpacker.decompress(packed, LARGEST + 1)
    except zlib.error:
        body = None
    if body is not None and len(body) > LARGEST:
        raise _too_large()
    if body is None or not unpacker.eof:
        raise SourceConnectionError("The portal's answer arrived damaged")
    return body


def _parsed(raw: bytes) -> Body:
    body = Body(size=len(raw), is_page=raw.lstrip()[:1] == b"<")
    try:
        text = encodable(raw.decode(json.detect_encoding(raw), "surrogatepass"))
        if _is_too_deep(text):
            return body
        tree = json.loads(_SURROGATES.sub(lambda found: found[1] or "\\ufffd", text))
    except ValueError, RecursionError:
        return body
    return Body(size=len(raw), is_json=True, tree=tree)


def _is_too_deep(text: str) -> bool:
    """Return whether a JSON text has too many lists and objects in one another; to parse it would take long."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return False
    depth = 0
    for bracket in _NO_BRACKETS.sub("", text):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            return True
    return False
