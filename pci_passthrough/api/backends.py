# SPDX-License-Identifier: Apache-2.0
"""The database, the conductor and the policies that handlers use."""

import dataclasses
from typing import Self

from oslo_config import cfg
from oslo_policy import policy

from pci_passthrough import claims
from pci_passthrough import nova_api
from pci_passthrough import objects
from pci_passthrough import rpc
from pci_passthrough import store
from pci_passthrough.api import policies


@dataclasses.dataclass(frozen=True, slots=True)
class Thresholds:
    """The limits up to which a PCI flavor's availability is ``low``.

    :ivar requests: the number of requests that could still be served.
    :ivar percent: the share of the devices that are free.
    """

    requests: int
    percent: int


@dataclasses.dataclass(frozen=True, slots=True)
class Backends:
    """The database to read from, and the conductor for all changes.

    :ivar limits: the ages up to which a host counts as up, as in the
        scheduler.
    :ivar thresholds: the limits of the availability that projects see.
    :ivar refusals_kept: days for which the scheduler's refusals are stored.
    :ivar flavor_from_group: whether groups of hosts become PCI flavors.
    :ivar aggregates: asks Nova for its host aggregates.
    """

    database: store.Reader
    conductor: rpc.ConductorClient
    enforcer: policy.Enforcer
    limits: store.Limits
    thresholds: Thresholds
    refusals_kept: float
    flavor_from_group: bool
    aggregates: nova_api.Aggregates

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """Create the backends; no connection is opened yet.

        A WSGI server may fork after it has loaded the application.

        :raises InvalidConfiguration: ``transport_url`` or the database's URL
            cannot be used.
        """
        policy = store.Policy.from_conf(conf)
        return cls(
            store.Reader.from_conf(conf),
            rpc.ConductorClient(rpc.get_transport(conf), conf.api.rpc_timeout),
            policies.enforcer(conf),
            policy.limits,
            Thresholds(
                conf.api.availability_low_requests,
                conf.api.availability_low_percent,
            ),
            policy.refusals_kept,
            policy.flavor_from_group,
            nova_api.Aggregates(conf),
        )

    def aggregates_for(
        self, *flavors: objects.PciFlavor | None
    ) -> claims.HostAggregates | None:
        """Ask Nova for its host aggregates, if PCI flavors need them.

        :returns: None if none of the PCI flavors is restricted to some.
        """
        if any(flavor and flavor.aggregate_metadata for flavor in flavors):
            return self.aggregates.get()
        return None

    def close(self) -> None:
        """Close connections."""
        self.conductor.close()
        self.database.close()
