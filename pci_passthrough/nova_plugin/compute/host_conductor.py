# SPDX-License-Identifier: Apache-2.0
"""What nova-compute asks a conductor about its host's devices, and tells it.

Everything here is called while nova-compute holds the lock of all claims.
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
from pci_passthrough.objects import fields

LOG = logging.getLogger(__name__)

_R = TypeVar('_R')


class HostDevices:
    """The devices of one host, as the service has them.

    Of all methods only ``claim`` and ``offer`` raise. While no conductor
    answers, none is told anything, as each call would wait until its time is
    over: what was not told is found when ``register`` succeeds again.

    :ivar host: its name, Nova's and the agent's.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self._actor = f'nova-compute/{host}'
        self._is_away = False
        self._was_away = False
        self._said: set[str] = set()

    def claim(
        self,
        instance_uuid: str,
        requests: Sequence[objects.PciRequest],
        numa: objects.NumaAffinity | None,
    ) -> list[objects.PciDevice]:
        """Hold devices for an instance; see ``ConductorClient.claim``.

        :raises: PciPassthroughError
        """
        return self._call(
            lambda conductor: conductor.claim(
                self.host, instance_uuid, requests, self._actor, numa
            )
        )

    def offer(
        self,
        requests: Sequence[objects.PciRequest],
        instance_uuid: str | None,
    ) -> claims.SupplySnapshot:
        """Ask what the host could give; see ``ConductorClient.offer``.

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

    def abort(self, instance_uuid: str, claim_ids: Collection[str]) -> None:
        """Give a claim back that came to nothing."""
        self._tell(
            f'give back what instance {instance_uuid} has claimed',
            lambda conductor: conductor.abort(
                self.host, instance_uuid, self._actor, claim_ids
            ),
        )

    def allocate(self, instance_uuid: str, claim_ids: Collection[str]) -> None:
        """Say that an instance has what it claimed."""
        self._tell(
            f'allocate what instance {instance_uuid} has claimed',
            lambda conductor: conductor.allocate(
                self.host, instance_uuid, self._actor, claim_ids
            ),
        )

    def free(self, instance_uuid: str, claim_ids: Collection[str]) -> None:
        """Say that an instance does not have devices any more."""
        self._tell(
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
    ) -> objects.PciDevice | None:
        """Say that an instance has a device, whoever gave it.

        :param pci_flavor_uuid: for which it was given, if that is known.
        :returns: the device; None if it was not accepted.
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
            )

        def either(conductor: rpc.ConductorClient) -> list[objects.PciDevice]:
            try:
                return call(conductor, pci_flavor_uuid)
            except exception.PciFlavorNotFound:
                # Whose the device is matters more than what it was called.
                return call(conductor, None)

        adopted = self._tell(
            f'have {address} recorded for instance {instance_uuid}', either
        )
        return adopted[0] if adopted else None

    def register(self) -> objects.TrackerAck | None:
        """Say that the tracker is there; None if no conductor answers."""
        self._is_away = False
        return self._tell(
            'register the resource tracker',
            lambda conductor: conductor.register_tracker(
                self.host, pci_passthrough.version()
            ),
        )

    def offered(self) -> dict[str, objects.PciDevice] | None:
        """Return what the host's agent offers, by address."""
        devices = self._tell(
            'ask for the devices of the host',
            lambda conductor: conductor.host_devices(self.host),
        )
        if devices is None:
            return None
        return {
            device.address: device
            for device in devices
            if device.presence == fields.Presence.OFFERED
        }

    def _tell(
        self, what: str, call: Callable[[rpc.ConductorClient], _R]
    ) -> _R | None:
        if self._is_away:
            return None
        try:
            return self._call(call)
        except exception.Unavailable:
            pass
        except exception.PciPassthroughError as error:
            # Each run of the periodic task would say it again.
            text = f'Could not {what}: {error}'
            log = LOG.debug if text in self._said else LOG.error
            log('%s', text)
            self._said.add(text)
        return None

    def _call(self, call: Callable[[rpc.ConductorClient], _R]) -> _R:
        try:
            result = call(client.conductor())
        except exception.ClaimContended:
            raise
        except exception.Unavailable as error:
            self._is_away = True
            if not self._was_away:
                LOG.error(
                    'The devices of PCI flavors cannot be managed, and no '
                    'instance gets any here, until this is mended: %s',
                    error,
                )
            self._was_away = True
            raise
        if self._was_away:
            LOG.info('A pci-passthrough-conductor answers again')
        self._is_away = self._was_away = False
        return result
