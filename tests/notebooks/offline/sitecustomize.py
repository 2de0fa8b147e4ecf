"""No network in the tests: only this machine may be reached.

Python imports a module of this name when it starts. tests/conftest.py puts the folder on
PYTHONPATH, so Jupyter kernels and other children of the tests are guarded as well.
"""

from __future__ import annotations

import ipaddress
import sys

LOCAL_NAMES = frozenset({"", "localhost", "ip6-localhost"})


def is_local(host: object) -> bool:
    """Whether a host is this machine. None and the empty name mean 'any local address'."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host is None or host in LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(str(host).split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: raise OSError, as an unplugged cable would, on any way out."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if not isinstance(address, tuple):  # a Unix socket's path
            return
        host = address[0]
    else:
        return
    if not is_local(host):
        raise OSError(f"the tests run without a network, but something asked for {host!r}")


sys.addaudithook(refuse_network)
