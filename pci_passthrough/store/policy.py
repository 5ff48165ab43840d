# SPDX-License-Identifier: Apache-2.0
"""The conductor's policy about hosts and claims, from ``[conductor]``."""

import dataclasses
from typing import Self

from oslo_config import cfg

from pci_passthrough import claims
from pci_passthrough.reporting import budget
from pci_passthrough.reporting import preparation


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """Timeouts after which a silent host counts as down.

    :ivar host_timeout: seconds without a report of its agent.
    :ivar tracker_timeout: seconds without a registration of its resource
        tracker; None means that it need not have registered.
    """

    host_timeout: float
    tracker_timeout: float | None = None

    @property
    def of_agents(self) -> Self:
        """The limits for agents alone: resource trackers may be silent."""
        return dataclasses.replace(self, tracker_timeout=None)


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """The options of ``[conductor]`` that operations of the store need.

    :ivar limits: timeouts after which a silent host counts as down.
    :ivar vf_placement: one of ``claims.VF_PLACEMENTS``.
    :ivar refusals_kept: days for which the scheduler's refusals are stored.
    :ivar bounds: how often preparations and starts may fail.
    :ivar flavor_from_group: whether groups of hosts become PCI flavors.
    :ivar host_budget: what one host may have.
    """

    limits: Limits
    vf_placement: str = claims.choice.PACK
    refusals_kept: float = 7
    bounds: preparation.Bounds = dataclasses.field(
        default_factory=preparation.Bounds
    )
    flavor_from_group: bool = False
    host_budget: budget.HostBudget = dataclasses.field(
        default_factory=budget.HostBudget
    )

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """Return the policy of ``[conductor]``."""
        options = conf.conductor
        return cls(
            Limits(options.host_timeout, options.tracker_timeout),
            options.vf_placement,
            options.refusals_kept,
            preparation.Bounds(
                options.preparation_attempts,
                options.failed_starts,
                options.failed_start_instances,
            ),
            options.flavor_from_group,
            budget.HostBudget(
                options.host_devices,
                options.host_pool_keys,
                options.host_tag_bytes,
            ),
        )
