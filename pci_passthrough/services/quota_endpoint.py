# SPDX-License-Identifier: Apache-2.0
"""Answers the RPC methods about the limits of projects."""

import oslo_messaging

from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.rpc import methods
from pci_passthrough.services import answering
from pci_passthrough.services import call_budget
from pci_passthrough.services import quota_limits
from pci_passthrough.store.claims import quotas


class QuotaEndpoint(call_budget.Endpoint):
    """Checks what projects want against their limits.

    :param db: the database.
    :param limits: the limits of projects; None means that there are none.
    """

    target = oslo_messaging.Target(version=methods.VERSION)

    def __init__(
        self, db: store.Reader, limits: quota_limits.Limits | None = None
    ) -> None:
        self._db = db
        self._limits = limits or quota_limits.NoLimits()

    @answering.answers(methods.Conductor.check_quota)
    def check_quota(
        self,
        project_id: str,
        requests: list[objects.PciRequest],
        servers: int = 1,
        instance_uuid: str | None = None,
        host: str | None = None,
        replaces: bool = False,
    ) -> objects.QuotaAnswer:
        """See ``store.claims.quotas.check``."""
        return quotas.check(
            self._db,
            self._limits.current,
            project_id,
            requests,
            servers,
            instance_uuid,
            host,
            replaces,
        )

    @answering.answers(methods.Conductor.project_limits)
    def project_limits(
        self, project_ids: list[str], pci_flavors: list[str]
    ) -> dict[str, dict[str, int]]:
        """Return limits by project and PCI flavor, as far as there are any."""
        return {
            project_id: dict(self._limits.current(project_id, pci_flavors))
            for project_id in project_ids
        }
