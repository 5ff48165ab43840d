# SPDX-License-Identifier: Apache-2.0
"""The one tree of errors which this project raises.

::

    PciPassthroughError
    ├── Invalid              the caller's input is wrong
    │   ├── InvalidPciInformation
    │   ├── InvalidPciFlavor
    │   ├── InvalidRequest
    │   ├── InvalidNic
    │   ├── InvalidConfiguration
    │   └── UnsupportedNova
    ├── NotFound             no such thing, or not visible
    │   ├── PciFlavorNotFound
    │   ├── PciDeviceNotFound
    │   └── HostNotFound
    ├── Conflict             the thing is not in a fitting state
    │   ├── PciFlavorExists
    │   ├── PciFlavorInUse
    │   ├── PciFlavorChanged
    │   ├── DeviceStateConflict
    │   ├── ClaimMismatch
    │   └── ClaimRefused
    └── Unavailable          a peer is away or busy, try later
        ├── LibvirtUnavailable
        ├── ConductorUnavailable
        ├── DatabaseNotReady
        ├── DatabaseUnavailable
        └── ClaimContended

A family decides the HTTP status, in ``api.errors``, and whether a remote
caller may see the error as it is; ``code`` is stable and meant for programs,
the text is meant for people.
"""

from collections.abc import Sequence
from typing import Any
from typing import ClassVar


class PciPassthroughError(Exception):
    """Root of all errors of this project.

    :cvar code: stable, machine-readable name, ``<noun>.<what>``.
    :param text: for people.
    :param args: the arguments of a subclass that takes others than the text:
        oslo.messaging and pickle make an error anew from ``args``.
    """

    code: ClassVar[str] = 'error'

    def __init__(self, text: str, *args: Any) -> None:
        super().__init__(*(args or (text,)))
        self.text = text

    def __str__(self) -> str:
        return self.text


class Invalid(PciPassthroughError):
    """Something that the caller handed in is malformed."""

    code = 'invalid'


class InvalidPciInformation(Invalid):
    """An entry of ``[agent] pci_information`` cannot be used.

    :param entry: the entry as it was written.
    :param key: the key at fault, or None if the whole entry is.
    :param reason: what is wrong.
    :param example: an entry, or a part of one, that would be right.
    """

    code = 'pci_information.invalid'

    def __init__(
        self, entry: str, key: str | None, reason: str, example: str
    ) -> None:
        self.entry = entry
        self.key = key
        self.reason = reason
        self.example = example
        where = f'key {key!r}: ' if key is not None else ''
        super().__init__(
            f'pci_information entry {entry}: {where}{reason}; '
            f'right would be, for example: {example}',
            entry,
            key,
            reason,
            example,
        )


class InvalidPciFlavor(Invalid):
    """A PCI flavor's field or match expression cannot be used.

    :param key: the field or match key at fault.
    :param reason: what is wrong.
    :param example: something that would be right.
    """

    code = 'pci_flavor.invalid'

    def __init__(self, key: str, reason: str, example: str) -> None:
        self.key = key
        self.reason = reason
        self.example = example
        super().__init__(
            f'PCI flavor: {key!r}: {reason}; '
            f'right would be, for example: {example}',
            key,
            reason,
            example,
        )


class InvalidRequest(Invalid):
    """A request for devices is malformed.

    :param text: the request, or the part of it at fault.
    :param reason: what is wrong.
    """

    code = 'request.invalid'

    def __init__(self, text: str, reason: str) -> None:
        self.request = text
        self.reason = reason
        super().__init__(
            f'request {text!r}: {reason}; right would be, for example: '
            '10g:2,bigGPU|midGPU:1',
            text,
            reason,
        )


class InvalidNic(Invalid):
    """A NIC asks for a PCI flavor that it cannot be served with."""

    code = 'nic.invalid'


class InvalidConfiguration(Invalid):
    """An option, or a combination of options, cannot be used."""

    code = 'configuration.invalid'


class UnsupportedNova(Invalid):
    """Nova's code is not the one that this project was tested with.

    :param text: every difference, and what to do about it.
    """

    code = 'nova.unsupported'


class NotFound(PciPassthroughError):
    """The thing does not exist, or the caller may not know that it does."""

    code = 'not_found'


class PciFlavorNotFound(NotFound):
    """No PCI flavor has that name or UUID."""

    code = 'pci_flavor.not_found'

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f'there is no PCI flavor {name!r}',
            name,
        )


class PciDeviceNotFound(NotFound):
    """No device has that UUID, or that address on that host."""

    code = 'pci_device.not_found'

    def __init__(self, device: str) -> None:
        self.device = device
        super().__init__(
            f'there is no PCI device {device!r}',
            device,
        )


class HostNotFound(NotFound):
    """No agent of that host has ever reported."""

    code = 'host.not_found'

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(
            f'host {host!r} is not known: no pci-passthrough-agent has '
            'reported from it',
            host,
        )


class Conflict(PciPassthroughError):
    """The thing exists but is in no state for what was asked."""

    code = 'conflict'


class PciFlavorExists(Conflict):
    """The name of a PCI flavor is taken.

    :param holders: how many devices are held by the PCI flavor that has the
        name, if that was deleted while it was in use; 0: it was not.
    """

    code = 'pci_flavor.exists'

    def __init__(self, name: str, holders: int = 0) -> None:
        self.name = name
        self.holders = holders
        text = f'a PCI flavor named {name!r} exists already'
        if holders:
            text = (
                f'the name {name!r} is still taken: the PCI flavor was '
                f'deleted while it was in use, and {holders} device(s) are '
                'held by it; the name is free once the last of them is'
            )
        super().__init__(text, name, holders)


class PciFlavorInUse(Conflict):
    """Something holds devices by a PCI flavor.

    :param holders: how many devices are held by it; if it is to match less,
        how many of them it would not match any more.
    :param instances: UUIDs of some instances that have them. Administrators
        only, so they are not part of the text.
    """

    code = 'pci_flavor.in_use'

    def __init__(
        self, name: str, holders: int, instances: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.holders = holders
        self.instances = list(instances)
        super().__init__(
            f'PCI flavor {name!r} is in use: {holders} device(s) that are '
            'held by it stand in the way. It cannot be renamed, and without '
            'force neither be deleted nor leave out a device that is held; '
            'with its state set to disabled it takes no new requests, and '
            'nobody loses anything',
            name,
            holders,
            self.instances,
        )


class PciFlavorChanged(Conflict):
    """Somebody else changed the PCI flavor in the meantime."""

    code = 'pci_flavor.changed'

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f'PCI flavor {name!r} was changed by somebody else meanwhile; '
            'read it again and repeat your change',
            name,
        )


class DeviceStateConflict(Conflict):
    """A device's state does not allow the transition.

    :param device: UUID or address.
    :param action: what was asked, for example ``allocate``.
    :param state: the state that the device is in.
    :param allowed: the states from which the action is possible.
    :param reason: why it is in that state, as somebody wrote it.
    """

    code = 'pci_device.state'

    def __init__(
        self,
        device: str,
        action: str,
        state: str,
        allowed: Sequence[str],
        reason: str | None = None,
    ) -> None:
        self.device = device
        self.action = action
        self.state = state
        self.reason = reason
        why = '' if reason is None else f' ({reason})'
        super().__init__(
            f'PCI device {device}: cannot {action} while it is {state}{why}; '
            f'possible from: {", ".join(allowed)}',
            device,
            action,
            state,
            allowed,
            # Callers of an earlier release make it anew from four.
            *(() if reason is None else (reason,)),
        )


class ClaimMismatch(Conflict):
    """The owner holds devices for these requests, but not what is asked."""

    code = 'claim.mismatch'

    def __init__(self, instance_uuid: str, reason: str) -> None:
        self.instance_uuid = instance_uuid
        super().__init__(
            f'instance {instance_uuid} already holds devices: {reason}',
            instance_uuid,
            reason,
        )


class ClaimRefused(Conflict):
    """No assignment of free devices serves all the requests.

    :param reasons: ``objects.RefusalReason`` objects, one for each host,
        request and condition that failed. Administrators only: they name
        hosts.
    """

    code = 'claim.refused'

    def __init__(self, summary: str, reasons: Sequence[Any] = ()) -> None:
        self.reasons = list(reasons)
        super().__init__(
            summary,
            summary,
            reasons,
        )


class Unavailable(PciPassthroughError):
    """A peer does not answer; the same call may succeed later."""

    code = 'unavailable'


class LibvirtUnavailable(Unavailable):
    """libvirt cannot be asked, so nothing is known about the devices."""

    code = 'libvirt.unavailable'

    def __init__(self, uri: str, reason: str) -> None:
        self.uri = uri
        self.reason = reason
        super().__init__(
            f'libvirt at {uri} cannot be asked: {reason}',
            uri,
            reason,
        )


class ConductorUnavailable(Unavailable):
    """No pci-passthrough-conductor answers."""

    code = 'conductor.unavailable'


class DatabaseNotReady(Unavailable):
    """The database's schema is missing or of another version."""

    code = 'database.not_ready'


class DatabaseUnavailable(Unavailable):
    """The database does not answer, or keeps refusing the same transaction."""

    code = 'database.unavailable'


class ClaimContended(Unavailable):
    """Others were faster each time; devices may still be free."""

    code = 'claim.contended'
