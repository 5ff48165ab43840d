# SPDX-License-Identifier: Apache-2.0
"""Answers the RPC methods that the REST API calls."""

from typing import Any

from oslo_log import log as logging
import oslo_messaging

from pci_passthrough import nova_api
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.rpc import methods
from pci_passthrough.services import answering
from pci_passthrough.services import call_budget
from pci_passthrough.store import host_changes
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import resolving
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import validation

LOG = logging.getLogger(__name__)


class OperatorEndpoint(call_budget.Endpoint):
    """Changes PCI flavors, devices and hosts for operators.

    :param db: the database.
    :param limits: timeouts after which silent hosts are down.
    :param aggregates: asks Nova for host aggregates; None means that nobody
        checks whether a claim could.
    """

    target = oslo_messaging.Target(version=methods.VERSION)

    def __init__(
        self,
        db: store.Writer,
        limits: store.Limits,
        aggregates: nova_api.Aggregates | None = None,
    ) -> None:
        self._aggregates = aggregates
        self._db = db
        self._limits = limits

    @answering.answers(methods.Conductor.create_pci_flavor)
    def create_pci_flavor(
        self,
        name: str,
        project_id: str | None,
        values: dict[str, Any],
        actor: str,
    ) -> objects.PciFlavor:
        """See ``store.pci_flavors.editing.add``."""
        self._check_usable(values)
        flavor = editing.add(
            self._db, validation.new(name, project_id, values)
        )
        LOG.info('%s created PCI flavor %s', actor, _name_and_uuid(flavor))
        return flavor

    @answering.answers(methods.Conductor.update_pci_flavor)
    def update_pci_flavor(
        self,
        name: str,
        changes: dict[str, Any],
        generation: int | None,
        force: bool,
        actor: str,
    ) -> objects.PciFlavor:
        """See ``store.pci_flavors.editing.update``."""
        self._check_usable(changes)
        flavor = editing.update(self._db, name, changes, generation, force)
        LOG.info(
            '%s changed%s %s of PCI flavor %s; generation %d',
            actor,
            ' with force' if force else '',
            ', '.join(sorted(changes)),
            _name_and_uuid(flavor),
            flavor.generation,
        )
        return flavor

    def _check_usable(self, values: dict[str, Any]) -> None:
        if self._aggregates is not None:
            self._aggregates.check_usable(values)

    @answering.answers(methods.Conductor.delete_pci_flavor)
    def delete_pci_flavor(
        self,
        name: str,
        generation: int | None,
        force: bool,
        actor: str,
    ) -> int:
        """See ``store.pci_flavors.editing.delete``."""
        held = editing.delete(self._db, name, generation, force)
        LOG.info(
            '%s deleted PCI flavor %s; %d devices are still held by it',
            actor,
            name,
            held,
        )
        return held

    @answering.answers(methods.Conductor.share_pci_flavor)
    def share_pci_flavor(
        self,
        name: str,
        project_id: str,
        shared: bool,
        actor: str,
        generation: int | None = None,
    ) -> objects.PciFlavor:
        """See ``store.pci_flavors.editing.share``."""
        flavor = editing.share(self._db, name, project_id, shared, generation)
        LOG.info(
            '%s %s project %s access to PCI flavor %s',
            actor,
            'gave' if shared else 'denied',
            project_id,
            _name_and_uuid(flavor),
        )
        return flavor

    @answering.answers(methods.Conductor.set_device)
    def set_device(
        self,
        device: str,
        action: str,
        reason: str,
        actor: str,
    ) -> objects.PciDevice:
        """See ``store.devices.operators.act``."""
        after = operators.act(self._db, device, action, reason, actor)
        LOG.info(
            '%s: %s of %s/%s: %s',
            actor,
            action,
            after.host,
            after.address,
            reason or 'no reason given',
        )
        return after

    @answering.answers(methods.Conductor.resolve_device)
    def resolve_device(
        self,
        device: str,
        moved_to: str | None,
        reason: str,
        actor: str,
    ) -> objects.PciDevice:
        """See ``store.devices.resolving.resolve``."""
        after = resolving.resolve(self._db, device, moved_to, reason, actor)
        LOG.info(
            '%s resolved the conflict of a PCI device of host %s: %s: %s',
            actor,
            after.host,
            f'it moved to {after.address}'
            if moved_to
            else f'{after.address} is gone',
            reason,
        )
        return after

    @answering.answers(methods.Conductor.forget_host)
    def forget_host(
        self, host: str, force: bool, reason: str, actor: str
    ) -> int:
        """See ``store.host_changes.forget``."""
        held = host_changes.forget(
            self._db, self._limits, host, force, reason, actor
        )
        LOG.info(
            '%s: forgot host %s, of which instances held %d devices: %s',
            actor,
            host,
            held,
            reason or 'no reason given',
        )
        return held


def _name_and_uuid(flavor: objects.PciFlavor) -> str:
    return f'{flavor.name} ({flavor.uuid})'
