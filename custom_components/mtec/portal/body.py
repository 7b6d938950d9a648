"""The body of a response: read up to a limit, decompressed, and parsed without blocking the event loop."""

import asyncio
from dataclasses import dataclass
import json
import re
from typing import Any, Final
import zlib

import aiohttp
import orjson

from custom_components.mtec.sources import ResponseError, SourceConnectionError

from .values import encodable

LARGEST: Final = 8 * 1024 * 1024
"""Maximum bytes of a body. The largest known answer, a day of an inverter, has some hundred kB."""
LARGEST_PACKED: Final = 1024 * 1024
"""Maximum bytes of a compressed body."""
DEEPEST: Final = 1000
"""Maximum nesting of lists and objects. Known answers have less than ten; a deep one takes seconds to parse."""

ACCEPT_ENCODING: Final = "gzip, deflate"
"""The compressions that `read_body` supports."""

_LARGE = 64 * 1024
"""A body with more bytes is parsed in a thread."""
_LARGEST_QUICK = 2 * 1024 * 1024
"""Maximum bytes that are parsed by orjson, which needs twelve times as much memory meanwhile."""

_ZLIB_METHOD = 8
"""The lower half of the first byte of deflated data with a zlib header, which some servers leave out."""

_SURROGATES = re.compile(
    r"(\\\\|\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2})|\\u[dD][89a-fA-F][\da-fA-F]{2}", re.ASCII
)
"""An escaped backslash or surrogate pair, which is the group, or half a pair."""
_NO_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[^\[\]{}"]++', re.DOTALL)
"""Everything but the brackets of lists and objects: strings, even without an end, and text between."""


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a response. `tree` is the parsed JSON if `is_json`.

    `is_page` is whether what is not JSON looks like HTML. `size` is in bytes.
    """

    size: int
    is_page: bool = False
    is_json: bool = False
    tree: Any = None


async def read_body(response: aiohttp.ClientResponse) -> Body:
    """Return the body of a response that was requested without automatic decompression.

    Raises ResponseError if it is too large or its compression was not asked for, SourceConnectionError if the
    compressed data is damaged, and aiohttp.ClientError if the connection breaks.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower().removeprefix("x-")
    if encoding in {"", "identity"}:
        raw = await _read(response, LARGEST)
        return await asyncio.to_thread(_parse, raw) if len(raw) > _LARGE else _parse(raw)
    if encoding not in {"gzip", "deflate"}:
        raise ResponseError("The portal's answer is compressed in a way that was not asked for")
    packed = await _read(response, LARGEST_PACKED)
    return await asyncio.to_thread(_decompress_and_parse, packed, encoding)


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the bytes of a body. Raises ResponseError if there are more than `limit`."""
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


def _decompress_and_parse(packed: bytes, encoding: str) -> Body:
    return _parse(_decompress(packed, encoding) if packed else packed)


def _decompress(packed: bytes, encoding: str) -> bytes:
    """Return decompressed data. Raises SourceConnectionError if it is damaged, ResponseError if it is too large."""
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


def _parse(raw: bytes) -> Body:
    try:
        if len(raw) <= _LARGEST_QUICK:
            return Body(size=len(raw), is_json=True, tree=orjson.loads(raw))
    except orjson.JSONDecodeError:
        # The error holds a copy of the body, which is free after this.
        pass
    return _parse_leniently(raw)


def _parse_leniently(raw: bytes) -> Body:
    """Parse a body that is very large, in another encoding, with half a surrogate pair, or a page."""
    page = Body(size=len(raw), is_page=raw.lstrip()[:1] == b"<")
    try:
        text = encodable(raw.decode(json.detect_encoding(raw), "surrogatepass"))
        if page.is_page or _is_too_deep(text):
            return page
        tree = json.loads(_SURROGATES.sub(lambda found: found[1] or "\\ufffd", text))
    except ValueError, RecursionError:
        return page
    return Body(size=len(raw), is_json=True, tree=tree)


def _is_too_deep(text: str) -> bool:
    """Return whether the lists and objects of a JSON text are nested too deeply to be parsed quickly."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return False
    depth = 0
    for bracket in _NO_BRACKETS.sub("", text):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            return True
    return False
