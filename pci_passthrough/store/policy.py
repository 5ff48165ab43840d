# SPDX-License-Identifier: Apache-2.0
"""What the operator configured about hosts and claims, in ``[conductor]``."""

import dataclasses
from typing import Self

from oslo_config import cfg

from pci_passthrough import claims


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How long a host may be silent before it is down.

    :ivar host_timeout: seconds without a report of its agent.
    :ivar tracker_timeout: seconds without a registration of its resource
        tracker; None means that it need not have registered.
    """

    host_timeout: float
    tracker_timeout: float | None = None

    @property
    def of_agents(self) -> Self:
        """The same limits for agents, and none for resource trackers."""
        return dataclasses.replace(self, tracker_timeout=None)


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """What the operator configured about hosts and claims.

    :ivar limits: which hosts are up.
    :ivar vf_placement: one of ``claims.VF_PLACEMENTS``.
    :ivar refusals_kept: days for which refusals of the scheduler are kept.
    """

    limits: Limits
    vf_placement: str = claims.choice.PACK
    refusals_kept: float = 7

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """Return what ``[conductor]`` says."""
        options = conf.conductor
        return cls(
            Limits(options.host_timeout, options.tracker_timeout),
            options.vf_placement,
            options.refusals_kept,
        )
