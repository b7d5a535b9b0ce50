"""Sessions to a pod by way of a proxy that harms what passes through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from faults import FaultProxy

from being_remote.demo.pod import Pod
from being_remote.inventory import Inventory
from being_remote.session import Session
from being_remote.transport import open_session


@contextmanager
def through(
    proxy: FaultProxy,
    there: Pod,
    make_inventory: Callable[..., Inventory],
    connect_timeout_s: float = 2.0,
) -> Iterator[Session]:
    """A session to `there` by way of the proxy."""
    entry = {**there.inventory_entry(), "port": proxy.port, "connect_timeout_s": connect_timeout_s}
    inventory = make_inventory({"pod": entry})
    inventory.state.mkdir(mode=0o700, exist_ok=True)
    (inventory.state / "known_hosts").write_text(proxy.known_host(there))
    with open_session(inventory.host("pod"), inventory) as session:
        yield session
