# SPDX-License-Identifier: Apache-2.0
"""Handlers: what a host does with a device between two owners.

A handler sets a device up, cleans it, and proves that it is clean. An entry of
``[agent] pci_information`` chooses its handlers by name. Other packages can
bring handlers of their own: a subclass of ``DeviceHandler`` as an entry point
of the namespace ``pci_passthrough.device_handler``.

Each verb runs in a process of its own (``verb_process``), which the agent
starts and watches (``verb_run``). What needs privileges is in ``privileged``.
"""

# ``verb_process`` is a program, before which Python imports its package.
from pci_passthrough import threading_backend  # noqa: F401
from pci_passthrough.handlers.interface import Command
from pci_passthrough.handlers.interface import Device
from pci_passthrough.handlers.interface import DeviceHandler
from pci_passthrough.handlers.interface import HandlerError
from pci_passthrough.handlers.interface import Host
from pci_passthrough.handlers.interface import Progress
from pci_passthrough.handlers.interface import Verb
from pci_passthrough.handlers.registry import Registry

__all__ = (
    'Command',
    'Device',
    'DeviceHandler',
    'HandlerError',
    'Host',
    'Progress',
    'Registry',
    'Verb',
)
