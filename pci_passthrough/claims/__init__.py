# SPDX-License-Identifier: Apache-2.0
"""Decides which devices serve an instance's requests. Pure: no I/O.

``decide`` is the one function that says whether a host can serve a set of
requests, and from which pools; the claim, a simulation and the scheduler all
call it. ``decide_sparing`` calls it so that devices with failed starts are
used last. ``choose`` turns a ``Decision`` into concrete devices. ``explain``
gives the reasons why a host cannot serve, and an ``Explanation`` collects the
answers of all hosts. ``Quota`` has what the limits of a project leave to an
instance. The scheduler decides on a ``SupplySnapshot`` of the
candidate hosts, and compares the hosts that can serve by their ``Loss``.
``on_host`` restricts requests to the host aggregates of their PCI flavors.
"""

from pci_passthrough.claims.choice import Candidate
from pci_passthrough.claims.choice import choose
from pci_passthrough.claims.choice import decide_among
from pci_passthrough.claims.choice import proven_supply_of
from pci_passthrough.claims.choice import supply_of
from pci_passthrough.claims.choice import VF_PLACEMENTS
from pci_passthrough.claims.claim_request import ClaimRequest
from pci_passthrough.claims.consumption import consume
from pci_passthrough.claims.decision import Alternative
from pci_passthrough.claims.decision import decide
from pci_passthrough.claims.decision import decide_sparing
from pci_passthrough.claims.decision import Decision
from pci_passthrough.claims.decision import Demand
from pci_passthrough.claims.explanation import Explanation
from pci_passthrough.claims.explanation import HostAnswer
from pci_passthrough.claims.explanation import NearMiss
from pci_passthrough.claims.explanation import Reason
from pci_passthrough.claims.host_aggregates import have_conditions
from pci_passthrough.claims.host_aggregates import HostAggregates
from pci_passthrough.claims.host_aggregates import on_host
from pci_passthrough.claims.loss import Loss
from pci_passthrough.claims.quota import DEFAULT_RESOURCE
from pci_passthrough.claims.quota import Excess
from pci_passthrough.claims.quota import excesses
from pci_passthrough.claims.quota import limit_of
from pci_passthrough.claims.quota import Quota
from pci_passthrough.claims.quota import servers_with_room
from pci_passthrough.claims.refusal import explain
from pci_passthrough.claims.refusal import explain_quotas
from pci_passthrough.claims.refusal import FailedCondition
from pci_passthrough.claims.refusal import in_words
from pci_passthrough.claims.refusal import ON_NETWORK
from pci_passthrough.claims.refusal import pool_in_words
from pci_passthrough.claims.refusal import PoolTotal
from pci_passthrough.claims.refusal import summarize
from pci_passthrough.claims.refusal import summarize_hosts
from pci_passthrough.claims.supply import Family
from pci_passthrough.claims.supply import NO_SUPPLY
from pci_passthrough.claims.supply import Supply
from pci_passthrough.claims.supply_snapshot import SupplySnapshot

__all__ = [
    'DEFAULT_RESOURCE',
    'NO_SUPPLY',
    'ON_NETWORK',
    'VF_PLACEMENTS',
    'Alternative',
    'Candidate',
    'ClaimRequest',
    'Decision',
    'Demand',
    'Excess',
    'Explanation',
    'FailedCondition',
    'Family',
    'HostAggregates',
    'HostAnswer',
    'Loss',
    'NearMiss',
    'PoolTotal',
    'Quota',
    'Reason',
    'Supply',
    'SupplySnapshot',
    'choose',
    'consume',
    'decide',
    'decide_among',
    'decide_sparing',
    'excesses',
    'explain',
    'explain_quotas',
    'have_conditions',
    'in_words',
    'limit_of',
    'on_host',
    'pool_in_words',
    'proven_supply_of',
    'servers_with_room',
    'summarize',
    'summarize_hosts',
    'supply_of',
]
