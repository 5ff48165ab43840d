# SPDX-License-Identifier: Apache-2.0
"""Fixtures that run real database and message servers for tests.

Each fixture runs one server, on a free port of 127.0.0.1, which other
machines cannot reach. The data directory is removed with the fixture. A test
can kill the server at any moment and start it again on the same port with the
same data.

pifpaf cannot be used instead: its RabbitMQ accepts Erlang connections on all
interfaces and leaves epmd running, its PostgreSQL does not work when the tests
run as root, and its servers cannot be killed and started again with the same
port and data.

Tests kill servers and check that no committed data is lost, so each database
writes at each commit. It does not wait for the disk: what a killed process has
written is in the kernel's cache. Memory limits are reduced.
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
