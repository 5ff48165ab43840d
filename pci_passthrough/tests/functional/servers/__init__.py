# SPDX-License-Identifier: Apache-2.0
"""Real database and message servers, owned by the tests that use them.

Each fixture runs one server of its own: on a free port of 127.0.0.1, never
reachable from another machine, with a data directory that lives as long as
the fixture. A test may kill the server at any moment and start it again on
the same port with the same data, which is the point of having it.

pifpaf does nearly this, but not what is needed here: its RabbitMQ takes
Erlang connections on all interfaces and leaves epmd behind, its PostgreSQL
refuses to work when the tests run as root, and neither of its servers can be
killed and started again where it was.

Durability is never relaxed: the tests kill servers and check that nothing
committed is lost, so every server keeps its default fsync behaviour. Only
memory is trimmed.
"""

from pci_passthrough.tests.functional.servers.base import LOOPBACK
from pci_passthrough.tests.functional.servers.base import Port
from pci_passthrough.tests.functional.servers.base import Server
from pci_passthrough.tests.functional.servers.base import ServerError
from pci_passthrough.tests.functional.servers.base import START_TIMEOUT
from pci_passthrough.tests.functional.servers.base import STOP_TIMEOUT
from pci_passthrough.tests.functional.servers.broker import RabbitMQ
from pci_passthrough.tests.functional.servers.databases import Database
from pci_passthrough.tests.functional.servers.databases import MariaDB
from pci_passthrough.tests.functional.servers.databases import PostgreSQL
from pci_passthrough.tests.functional.servers.sharing import shared

__all__ = [
    'LOOPBACK',
    'START_TIMEOUT',
    'STOP_TIMEOUT',
    'Database',
    'MariaDB',
    'Port',
    'PostgreSQL',
    'RabbitMQ',
    'Server',
    'ServerError',
    'shared',
]
