# SPDX-License-Identifier: Apache-2.0
"""Who gets which device. Pure: numbers and candidates in, a decision out.

``decide`` is the one function that says whether a host can serve a set of
requests, and from which pools; the claim, a simulation and the scheduler all
call it. ``choose`` turns its answer into concrete devices. ``explain`` says
why there is none, and an ``Explanation`` what all hosts have to say.
An ``Offer`` is what the scheduler decides on, and a ``Loss`` by what it
prefers one host to another.
"""

from pci_passthrough.claims.choice import Candidate
from pci_passthrough.claims.choice import choose
from pci_passthrough.claims.choice import supply_of
from pci_passthrough.claims.choice import VF_PLACEMENTS
from pci_passthrough.claims.consumption import consume
from pci_passthrough.claims.decision import Alternative
from pci_passthrough.claims.decision import decide
from pci_passthrough.claims.decision import Decision
from pci_passthrough.claims.decision import Demand
from pci_passthrough.claims.explanation import Explanation
from pci_passthrough.claims.explanation import HostAnswer
from pci_passthrough.claims.explanation import NearMiss
from pci_passthrough.claims.explanation import Reason
from pci_passthrough.claims.loss import Loss
from pci_passthrough.claims.offer import Offer
from pci_passthrough.claims.refusal import explain
from pci_passthrough.claims.refusal import in_words
from pci_passthrough.claims.refusal import pool_in_words
from pci_passthrough.claims.refusal import PoolTotal
from pci_passthrough.claims.refusal import summarize
from pci_passthrough.claims.refusal import summarize_hosts
from pci_passthrough.claims.supply import Family
from pci_passthrough.claims.supply import NO_SUPPLY
from pci_passthrough.claims.supply import Supply

__all__ = [
    'NO_SUPPLY',
    'VF_PLACEMENTS',
    'Alternative',
    'Candidate',
    'Decision',
    'Demand',
    'Explanation',
    'Family',
    'HostAnswer',
    'Loss',
    'NearMiss',
    'Offer',
    'PoolTotal',
    'Reason',
    'Supply',
    'choose',
    'consume',
    'decide',
    'explain',
    'in_words',
    'pool_in_words',
    'summarize',
    'summarize_hosts',
    'supply_of',
]
