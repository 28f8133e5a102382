"""Which network addresses a picture may be fetched from, and a connection that insists on it.

The check sits where the connection is made, on the address that was resolved: a name that resolves to
something else a moment later, a redirect, or an odd spelling of a number cannot get around it.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

import httpcore

from orchestrator.errors import FetchError
from orchestrator.images.codes import FetchCode

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[tuple[Address, ...]]]

_NAT64 = ip_network("64:ff9b::/96")
# Not public, whatever the standard library of a given release says of them.
_NEVER = (
    ip_network("100.64.0.0/10"),  # carrier-grade NAT, some clouds' metadata
    ip_network("168.63.129.16/32"),  # a cloud's host agent behind a public number
    ip_network("192.0.0.0/24"),  # protocol assignments, a cloud's metadata
    ip_network("192.88.99.0/24"),  # 6to4 relays
    ip_network("64:ff9b:1::/48"),  # private NAT64
    ip_network("fec0::/10"),  # site-local
)


async def resolve(host: str, port: int) -> tuple[Address, ...]:
    """Return the addresses of `host` in the system's order. Raises OSError when there are none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def is_public(address: Address) -> bool:
    """Whether `address`, and any IPv4 address embedded in it, belongs to the public internet."""
    if any(address in network for network in _NEVER):
        return False
    if isinstance(address, IPv6Address) and (embedded := _embedded(address)):
        return all(is_public(one) for one in embedded)
    odd = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not odd


def _embedded(address: IPv6Address) -> list[IPv4Address]:
    embedded = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        embedded.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in embedded if one is not None]


class AddressPolicy:
    """Public addresses, and the hosts and networks of the board's own that the operator named."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """`allowed`: host names, addresses and CIDRs, as in `TAGDESK_FETCH_ALLOW`."""
        self._hosts: set[str] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in allowed:
            try:
                self._networks.append(ip_network(entry))
            except ValueError:
                self._hosts.add(entry.rstrip(".").lower())

    def permits(self, host: str, address: Address) -> bool:
        """Whether a connection to `address`, asked for as `host`, may be made."""
        if host.rstrip(".").lower() in self._hosts:
            return True
        plain = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return any((plain or address) in network for network in self._networks) or is_public(address)


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a host once, and connects to those of its addresses that the policy permits."""

    def __init__(self, policy: AddressPolicy, resolver: Resolver = resolve) -> None:
        self._policy = policy
        self._resolve = resolver
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first permitted address that answers.

        Raises FetchError `private_address` when none is permitted, httpcore.ConnectError when the name is
        unknown or nothing answers.
        """
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the host {host} cannot be resolved") from error
        permitted = [address for address in addresses if self._policy.permits(host, address)]
        if not permitted:
            detail = f"{host} is not on the public internet; TAGDESK_FETCH_ALLOW may name it"
            raise FetchError(detail, code=FetchCode.PRIVATE_ADDRESS.value)
        failure: httpcore.NetworkError | httpcore.TimeoutException | None = None
        for address in permitted:
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: pictures do not come from local sockets."""
        raise FetchError("local sockets are refused", code=FetchCode.URL_REFUSED.value)

    async def sleep(self, seconds: float) -> None:
        """Wait, as httpcore does between tries."""
        await self._network.sleep(seconds)
