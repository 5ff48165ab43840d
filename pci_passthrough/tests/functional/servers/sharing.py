# SPDX-License-Identifier: Apache-2.0
"""Servers that all tests of a process share."""

import atexit
import os
import threading
from typing import TypeVar

from pci_passthrough.tests.functional.servers import base

_S = TypeVar('_S', bound=base.Server)

_shared: dict[type[base.Server], base.Server] = {}
_shared_lock = threading.Lock()


def shared(kind: type[_S]) -> _S:
    """Return the server of a class that all tests of a process share.

    The server starts with the first call and ends with the process. A test
    that stops or kills its server must not use a shared one.
    """
    with _shared_lock:
        server = _shared.get(kind)
        if server is None:
            server = kind()
            server.setUp()
            _shared[kind] = server
            atexit.register(_end_shared, server, os.getpid())
    assert isinstance(server, kind)
    return server


def _end_shared(server: base.Server, owner: int) -> None:
    # A forked child inherits the handler, but not the server.
    if os.getpid() == owner:
        server.cleanUp()
