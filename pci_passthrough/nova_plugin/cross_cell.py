# SPDX-License-Identifier: Apache-2.0
"""Keeps instances with devices of PCI flavors in their cell.

Nova resizes an instance to another cell by a copy of its records there, and
fails with PCI devices after it has claimed some. It does not let instances
leave their cell whose ports have a guaranteed bandwidth, for the same reason.
"""

from collections.abc import Callable
import functools
from typing import Any

from oslo_log import log as logging

from pci_passthrough.nova_plugin import loaded
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import errors
from pci_passthrough.nova_plugin.compat import scheduling

LOG = logging.getLogger(__name__)


class OtherCellRefused(errors.NovaException):
    """The destination of a cold migration is in another cell."""

    msg_fmt = (
        'Host %(host)s is in another cell: an instance with devices of PCI '
        'flavors cannot be moved there'
    )
    code = 400


def wrap_set_requested_destination_cell(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Replace ``MigrationTask._set_requested_destination_cell``.

    nova-conductor calls it for a cold migration or a resize, before it calls
    the scheduler or claims anything. The replacement takes other cells away.
    """

    @functools.wraps(original)
    def _set_requested_destination_cell(task: Any, *args: Any) -> Any:
        destination = loaded.attribute(
            task.request_spec, 'requested_destination'
        )
        if (
            destination
            and destination.allow_cross_cell_move
            and _has_or_gets_devices(task)
        ):
            _keep_in_cell(task, destination)
        return original(task, *args)

    return _set_requested_destination_cell


def _has_or_gets_devices(task: Any) -> bool:
    held = task.instance.pci_requests
    return requests.ask_for_pci_flavors((task.request_spec,), (task,)) or bool(
        requests.for_pci_flavors(held and held.requests)
    )


def _keep_in_cell(task: Any, destination: Any) -> None:
    """Restrict a move to the cell of its instance.

    :raises OtherCellRefused: the user has named a host of another cell.
    """
    host = loaded.attribute(destination, 'host')
    if host and scheduling.cell_of_host(task.context, host) != (
        task.context.cell_uuid
    ):
        raise OtherCellRefused(host=host)
    LOG.info(
        'Instance %s stays in its cell: it has or gets devices of PCI flavors',
        task.instance.uuid,
    )
    destination.allow_cross_cell_move = False
