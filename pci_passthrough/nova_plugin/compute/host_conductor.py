# SPDX-License-Identifier: Apache-2.0
"""The conductor, as nova-compute calls it for its own host.

Every call is made while nova-compute holds the lock of all claims.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Sequence
from typing import TypeVar

from oslo_log import log as logging

import pci_passthrough
from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import rpc
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin.compute import own_verdict
from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle

LOG = logging.getLogger(__name__)

_R = TypeVar('_R')


class HostConductor:
    """The conductor, for one compute host; failures are logged, not raised.

    Only ``claim`` and ``supply_snapshot`` raise. After a call that no
    conductor answered, calls are skipped until ``register`` succeeds again,
    because each would wait for its timeout. The periodic task then repairs
    what the skipped calls did not do.

    :ivar host: name of the host, for Nova and for the agent.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self._actor = f'nova-compute/{host}'
        self._is_away = False
        self._was_away = False
        self._logged: set[str] = set()

    def claim(
        self,
        instance_uuid: str,
        requests: Sequence[objects.PciRequest],
        numa: objects.NumaAffinity | None,
        project_id: str | None,
        replaces: bool,
    ) -> list[objects.PciDevice]:
        """Claim devices for an instance; see ``ConductorClient.claim``.

        :param project_id: the instance's project, if it is known.
        :param replaces: whether they replace what it holds on this host.
        :raises: PciPassthroughError
        """
        return self._call(
            lambda conductor: conductor.claim(
                claims.ClaimRequest(
                    self.host,
                    instance_uuid,
                    requests,
                    self._actor,
                    numa,
                    owner_project_id=project_id,
                    replaces=replaces,
                )
            )
        )

    def supply_snapshot(
        self,
        requests: Sequence[objects.PciRequest],
        instance_uuid: str | None,
    ) -> claims.SupplySnapshot:
        """Return the host's free devices; see ``ConductorClient.offer``.

        :raises: PciPassthroughError
        """
        return self._call(
            lambda conductor: conductor.offer(
                requests,
                [self.host],
                instance_uuid=instance_uuid,
                tracked_only=False,
            )
        )

    def free_devices(self) -> claims.SupplySnapshot | None:
        """Return everything on the host that is free.

        :returns: None if nobody answers.
        """
        return self._call_or_log(
            'get the free devices of this host',
            lambda conductor: conductor.offer(
                [], [self.host], tracked_only=False
            ),
        )

    def note_repair(
        self, instance_uuid: str, addresses: Collection[str], repair: str
    ) -> None:
        """Record a repair in the ledger.

        :param repair: one of ``fields.Repair``.
        """
        self._call_or_log(
            f'record the repair {repair!r} of {", ".join(sorted(addresses))}',
            lambda conductor: conductor.note_repair(
                self.host, instance_uuid, addresses, repair, self._actor
            ),
        )

    def abort(self, instance_uuid: str, claim_ids: Collection[str]) -> None:
        """Abort claims of an instance: their devices were not used."""
        self._call_or_log(
            f'abort the claims of instance {instance_uuid}',
            lambda conductor: conductor.abort(
                self.host, instance_uuid, self._actor, claim_ids
            ),
        )

    def allocate(
        self, instance_uuid: str, claim_ids: Collection[str]
    ) -> list[objects.PciDevice] | None:
        """Turn claims of an instance into allocations.

        :returns: the devices; None if the conductor did not do it.
        """
        return self._call_or_log(
            f'allocate the claimed devices of instance {instance_uuid}',
            lambda conductor: conductor.allocate(
                self.host, instance_uuid, self._actor, claim_ids
            ),
        )

    def free(
        self, instance_uuid: str, claim_ids: Collection[str]
    ) -> list[objects.PciDevice] | None:
        """Free the devices of some claims of an instance.

        :returns: the devices; None if the conductor did not do it.
        """
        return self._call_or_log(
            f'free devices of instance {instance_uuid}',
            lambda conductor: conductor.free(
                self.host, instance_uuid, self._actor, claim_ids
            ),
        )

    def adopt(
        self,
        instance_uuid: str,
        claim_id: str,
        address: str,
        pci_flavor_uuid: str | None = None,
        project_id: str | None = None,
    ) -> list[objects.PciDevice] | None:
        """Record that an instance already has a device.

        :param pci_flavor_uuid: the PCI flavor that was requested, if known.
        :param project_id: the instance's project, if known.
        :returns: the device; nothing if an operator has ended the holding;
            None if the conductor did not record it.
        """

        def call(
            conductor: rpc.ConductorClient, pci_flavor: str | None
        ) -> list[objects.PciDevice]:
            return conductor.adopt(
                self.host,
                instance_uuid,
                claim_id,
                [address],
                self._actor,
                pci_flavor,
                project_id,
            )

        def either(conductor: rpc.ConductorClient) -> list[objects.PciDevice]:
            try:
                return call(conductor, pci_flavor_uuid)
            except exception.PciFlavorNotFound:
                # The holder matters more than the PCI flavor's name.
                return call(conductor, None)
            except exception.DeviceStateConflict as error:
                if error.state == fields.HOLDING_ENDED:
                    return []
                raise

        return self._call_or_log(
            f'record {address} as held by instance {instance_uuid}', either
        )

    def pci_flavor_named(self, name: str) -> str | None:
        """Return the UUID of a PCI flavor.

        :returns: None if there is none of this name, or nobody answers.
        """
        request = objects.PciRequest(
            request_id=name, count=1, pci_flavors=[name], numa_policy=None
        )

        def call(conductor: rpc.ConductorClient) -> str | None:
            try:
                (answer,) = conductor.resolve([request], take_disabled=True)
            except (exception.PciFlavorNotFound, exception.InvalidRequest):
                return None
            return str(answer.alternatives[0].uuid)

        return self._call_or_log(f'look up the PCI flavor {name}', call)

    def register(self) -> objects.TrackerAck | None:
        """Register the tracker of this host; None if nobody answers."""
        self._is_away = False
        problem = own_verdict.problem(self.host)
        if problem is not None:
            return self._held(problem)
        return self._call_or_log(
            'register the resource tracker',
            lambda conductor: conductor.register_tracker(
                self.host, pci_passthrough.version()
            ),
        )

    def _held(self, problem: str) -> objects.TrackerAck | None:
        """Return what ``register`` returns, without a registration.

        Were the host offered, each instance would only be refused here.

        :param problem: why the host cannot say what may leave it.
        """
        devices = self._devices()
        if devices is None:
            return None
        # A host without an agent has none, and that is no error.
        if devices:
            self._log(
                f'This host gets no instances with PCI flavors: {problem}'
            )
        held = [d for d in devices if d.status in lifecycle.OWNED]
        return objects.TrackerAck(generation=None, held=held)

    def offered_devices(self) -> dict[str, objects.PciDevice] | None:
        """Return the devices that the agent offers, by address.

        :returns: None if nobody answers.
        """
        devices = self._devices()
        if devices is None:
            return None
        return {
            device.address: device
            for device in devices
            if device.presence == fields.Presence.OFFERED
        }

    def _devices(self) -> list[objects.PciDevice] | None:
        """Return the host's offered and held devices; None without answer."""
        return self._call_or_log(
            'get the devices of this host',
            lambda conductor: conductor.host_devices(self.host),
        )

    def _call_or_log(
        self, action: str, call: Callable[[rpc.ConductorClient], _R]
    ) -> _R | None:
        """Call the conductor; log an error instead of raising it.

        :param action: the call in words, after "Could not".
        """
        if self._is_away:
            return None
        try:
            return self._call(call)
        except exception.HostBusy as error:
            self._log(f'Could not {action}: {error}')
        except exception.Unavailable:
            pass
        except exception.PciPassthroughError as error:
            self._log(f'Could not {action}: {error}')
        return None

    def _log(self, text: str) -> None:
        """Log an error once; each periodic task would log it again."""
        log = LOG.debug if text in self._logged else LOG.error
        log('%s', text)
        self._logged.add(text)

    def _call(self, call: Callable[[rpc.ConductorClient], _R]) -> _R:
        try:
            result = call(client.conductor())
        except (exception.ClaimContended, exception.HostBusy):
            # A conductor has answered.
            raise
        except exception.Unavailable as error:
            self._is_away = True
            if not self._was_away:
                LOG.error(
                    'Devices of PCI flavors cannot be managed, and no '
                    'instance gets any on this host, until a conductor '
                    'answers: %s',
                    error,
                )
            self._was_away = True
            raise
        if self._was_away:
            LOG.info('A pci-passthrough-conductor answers again')
        self._is_away = self._was_away = False
        return result
