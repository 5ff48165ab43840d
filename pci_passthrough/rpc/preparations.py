# SPDX-License-Identifier: Apache-2.0
"""The calls about devices between two instances, and about their guests."""

from pci_passthrough import objects
from pci_passthrough.rpc import caller
from pci_passthrough.rpc import methods


class PreparationCalls(caller.Caller):
    """The part of ``ConductorClient`` for handlers, and for starts of guests.

    A fence names an attempt to prepare a device. The fence in a call must be
    that of the newest attempt: an answer about an earlier one changes nothing.
    """

    def preparations(self, host: str) -> list[objects.Preparation]:
        """Return the devices of a host that its agent has to prepare now.

        A device is left out as long as work on it would disturb an instance
        or the work on its physical function; physical functions come first.
        """
        return self._call(methods.Conductor.preparations, host)

    def may_prepare(self, host: str, address: str, fence: int) -> bool:
        """Return whether the agent may change a device now.

        To be asked before each step that changes a device. After True, the
        device is given to nobody until ``prepared`` has been called with this
        fence, or another attempt has begun.
        """
        return self._call(methods.Conductor.may_prepare, host, address, fence)

    def preparation_progress(
        self,
        host: str,
        address: str,
        fence: int,
        percent: int | None,
        text: str,
    ) -> None:
        """Record the progress of an attempt.

        :param percent: 0 to 100; None means unknown.
        :param text: what happens, one line.
        """
        return self._call(
            methods.Conductor.preparation_progress,
            host,
            address,
            fence,
            percent,
            text,
        )

    def prepared(
        self,
        host: str,
        address: str,
        fence: int,
        succeeded: bool,
        output: str,
    ) -> str:
        """Report the end of an attempt; safe to repeat.

        :param output: what the handlers have said; its end is kept.
        :returns: the device's status: ``available``, ``quarantined``, or
            ``cleaning`` if it is to be tried again, with another fence.
        :raises: PciDeviceNotFound
        """
        return self._call(
            methods.Conductor.prepared,
            host,
            address,
            fence,
            succeeded,
            output,
        )

    def start_failed(
        self, host: str, instance_uuid: str, text: str, actor: str
    ) -> None:
        """Record that libvirt could not start a guest with its devices.

        :param text: the error of libvirt.
        """
        return self._call(
            methods.Conductor.start_failed, host, instance_uuid, text, actor
        )

    def guest_started(self, host: str, instance_uuid: str, actor: str) -> None:
        """Record that the guest of an instance runs: its devices are good."""
        return self._call(
            methods.Conductor.guest_started, host, instance_uuid, actor
        )
