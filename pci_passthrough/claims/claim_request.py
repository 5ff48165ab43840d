# SPDX-License-Identifier: Apache-2.0
"""A claim of devices, as it goes from Nova's process to the database."""

from collections.abc import Sequence
import dataclasses

from pci_passthrough import objects


@dataclasses.dataclass(frozen=True, slots=True)
class ClaimRequest:
    """Devices of one host to be claimed for an instance.

    :ivar host: the host's name.
    :ivar instance_uuid: the instance that gets the devices.
    :ivar requests: the instance's requests; all are served, or none.
    :ivar actor: the claiming service and its host, or an operator's user
        name; for the ledger.
    :ivar numa: the instance's NUMA nodes on the host; None means that the
        instance has no NUMA topology.
    :ivar project_id: the project whose PCI flavors the requests may name; None
        means that they may name all, as an operator's may.
    :ivar owner_project_id: the instance's project, which uses the devices;
        None if it is not known.
    :ivar replaces: whether the devices replace those that the instance holds
        on this host: it is resized within the host.
    """

    host: str
    instance_uuid: str
    requests: Sequence[objects.PciRequest]
    actor: str
    numa: objects.NumaAffinity | None = None
    project_id: str | None = None
    owner_project_id: str | None = None
    replaces: bool = False
