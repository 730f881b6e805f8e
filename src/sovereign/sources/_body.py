"""Reading a response body under a size limit, decompression included, and telling where an address leads.

Imports httpx and the standard library. Refuses bodies over the limit, unknown encodings, and addresses inside private networks.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import zlib
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx


class TooLarge(Exception):
    """The body is over the limit; the rest was not read."""


class BadEncoding(Exception):
    """The body does not decompress."""


async def limited(response: httpx.Response, limit: int) -> bytes:
    """The decoded body. Raises TooLarge as soon as more than `limit` bytes are known to come, BadEncoding, or an httpx error."""
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise TooLarge(f"{announced} bytes announced")
    if response.is_stream_consumed:  # a transport that answers from memory; httpx has decoded it already
        if len(response.content) > limit:
            raise TooLarge(f"{len(response.content)} bytes")
        return response.content
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return await _plain(response, limit)
    if encoding in ("gzip", "x-gzip", "deflate"):
        return await _inflated(response, limit, zlib.MAX_WBITS | 32)  # | 32: zlib or gzip header, whichever comes
    raise BadEncoding(f"encoding {encoding[:20]!r} was not asked for")


async def _plain(response: httpx.Response, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"more than {limit} bytes")
    return bytes(body)


async def _inflated(response: httpx.Response, limit: int, wbits: int) -> bytes:
    """Decompresses with a bound on the output, so that a small bomb cannot fill the memory."""
    body, inflater = bytearray(), zlib.decompressobj(wbits)
    try:
        async for chunk in response.aiter_raw():
            body += inflater.decompress(chunk, limit + 1 - len(body))
            if len(body) > limit or inflater.unconsumed_tail:
                raise TooLarge(f"more than {limit} bytes once decompressed")
    except zlib.error as exc:
        raise BadEncoding(str(exc)) from exc
    if not inflater.eof and body:
        raise BadEncoding("the compressed body ends early")
    return bytes(body)


def is_private(address: str) -> bool:
    """Whether a literal IP address is anything but public unicast."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return not inner.is_global
    return not ip.is_global or ip.is_multicast


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


async def leads_inside(host: str, port: int) -> bool:
    """Whether a host name is, or resolves to, an address that is not public. A name that does not resolve leads nowhere: False."""
    if is_loopback(host) or is_private(host):
        return True
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return any(is_private(str(entry[4][0])) for entry in found)


SECRET_PARAMETERS = frozenset({"api_key", "apikey", "key", "token", "mailto", "email"})


def shown(url: str) -> str:
    """The address without keys, mail addresses and user parts: the only form that is logged, stored, cached or put into an error."""
    parts = urlsplit(url)
    query = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k.lower() not in SECRET_PARAMETERS]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, urlencode(query), ""))


def with_parameters(url: str, parameters: Iterable[tuple[str, str]]) -> str:
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True) + list(parameters)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
