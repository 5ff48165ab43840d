# SPDX-License-Identifier: Apache-2.0
"""Makes PCI flavors from the groups of hosts, and logs why it cannot."""

import threading

from oslo_log import log as logging

from pci_passthrough import exception
from pci_passthrough import store
from pci_passthrough.store import database
from pci_passthrough.store.pci_flavors import groups

LOG = logging.getLogger(__name__)


class GroupFlavors:
    """Makes the PCI flavors of ``[conductor] flavor_from_group``.

    A report that brings no new pool key costs one short query, and none if
    the option is false. Thread-safe.

    :param is_enabled: the option's value.
    """

    def __init__(self, db: store.Writer, is_enabled: bool) -> None:
        self._db = db
        self._is_enabled = is_enabled
        self._lock = threading.Lock()
        self._seen: frozenset[int] = frozenset()
        self._logged: set[str] = set()

    def make(self) -> None:
        """Make the PCI flavors of groups that are new since the last call.

        Without a database nothing is made, and the next call tries again: the
        report that has brought a group is applied all the same.
        """
        if not self._is_enabled:
            return
        with self._lock:
            try:
                result = groups.make(self._db, self._seen)
            except (exception.Unavailable, *database.ERRORS) as error:
                LOG.warning(
                    'Making PCI flavors from groups of hosts failed, the next '
                    'report tries again: %s',
                    str(error).partition('\n')[0],
                )
                return
            self._seen = result.seen
            for flavor in result.flavors:
                LOG.info(
                    'Made PCI flavor %s (%s) from the group of hosts',
                    flavor.name,
                    flavor.uuid,
                )
            for clash in set(result.clashes) - self._logged:
                LOG.warning('No PCI flavor is made from a group: %s', clash)
            self._logged |= set(result.clashes)
