# SPDX-License-Identifier: Apache-2.0
"""nova-scheduler's filters and weighers: ours are among them, in their place.

Where ``[filter_scheduler]`` names them, they are used where they stand.
Otherwise they are inserted when nova-scheduler starts, so that no list of the
operator has to be repeated, and lost, for them.
"""

from collections.abc import Callable
from typing import Any

from oslo_log import log as logging

from pci_passthrough.nova_plugin import scheduler_filter
from pci_passthrough.nova_plugin import weigher
from pci_passthrough.nova_plugin.install import bootstrap
from pci_passthrough.nova_plugin.install import deployment

LOG = logging.getLogger(__name__)


def wrap_init(original: Callable[..., None]) -> Callable[..., None]:
    """Replace ``HostManager.__init__``, which makes filters and weighers."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        options = bootstrap.nova_conf().pci_passthrough
        if options.insert_filter:
            _insert(self)
        _report_faults(self.enabled_filters)

    return __init__


def _insert(manager: Any) -> None:
    """Insert the filter and the weigher, if they are not there.

    :param manager: Nova's ``HostManager``.
    """
    filters = list(manager.enabled_filters)
    if not _has(filters, scheduler_filter.PciFlavorFilter):
        place = deployment.place_of_filter(_names(filters))
        filters.insert(place, scheduler_filter.PciFlavorFilter())
        manager.enabled_filters = filters
        LOG.info(
            'Inserted %s; the filters are %s',
            deployment.FILTER_NAME,
            ', '.join(_names(filters)),
        )
    weighers = list(manager.weighers)
    if not _has(weighers, weigher.PciFlavorWeigher):
        manager.weighers = [*weighers, weigher.PciFlavorWeigher()]
        LOG.info('Added PciFlavorWeigher to the weighers')


def _report_faults(filters: list[Any]) -> None:
    """Log why requests for PCI flavors would find no host, or a wrong one."""
    for fault in deployment.faults_of_order(_names(filters)):
        LOG.error('%s', fault)


def _has(objects: list[Any], wanted: type) -> bool:
    return any(isinstance(item, wanted) for item in objects)


def _names(filters: list[Any]) -> list[str]:
    """Return the names of filters; of ours also if a class is derived."""
    return [
        deployment.FILTER_NAME
        if isinstance(item, scheduler_filter.PciFlavorFilter)
        else type(item).__name__
        for item in filters
    ]
