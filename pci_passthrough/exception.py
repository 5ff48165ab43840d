# SPDX-License-Identifier: Apache-2.0
"""The tree of all exceptions that this project raises.

::

    PciPassthroughError
    ├── Invalid              the caller's input is wrong
    │   ├── InvalidPciInformation
    │   ├── InvalidPciFlavor
    │   ├── InvalidRequest
    │   ├── InvalidNic
    │   ├── InvalidConfiguration
    │   ├── HostOverBudget
    │   └── UnsupportedNova
    ├── NotFound             it does not exist or is not visible
    │   ├── PciFlavorNotFound
    │   ├── PciDeviceNotFound
    │   └── HostNotFound
    ├── Conflict             its state does not allow the call
    │   ├── PciFlavorExists
    │   ├── PciFlavorInUse
    │   ├── PciFlavorChanged
    │   ├── PciFlavorBuiltIn
    │   ├── DeviceStateConflict
    │   ├── HostInUse
    │   ├── HostOutOfService
    │   ├── HostIsUp
    │   ├── HostsDiffer
    │   ├── ClaimMismatch
    │   └── ClaimRefused
    └── Unavailable          a peer is down or busy; retry later
        ├── LibvirtUnavailable
        ├── ConductorUnavailable
        ├── DatabaseNotReady
        ├── DatabaseUnavailable
        ├── NovaUnavailable
        ├── LimitsUnknown
        ├── HostBusy
        └── ClaimContended

The four classes below the root decide the HTTP status, in ``api.errors``, and
whether a remote caller may see the error unchanged. ``code`` is stable and
meant for programs; the text is meant for people.
"""

from collections.abc import Sequence
from typing import Any
from typing import ClassVar


class PciPassthroughError(Exception):
    """Root of all errors of this project.

    :cvar code: stable, machine-readable name, ``<noun>.<condition>``.
    :param text: the message for people.
    :param args: the constructor arguments of a subclass whose constructor
        does not take the text: oslo.messaging and pickle rebuild an error
        from ``args``.
    """

    code: ClassVar[str] = 'error'

    def __init__(self, text: str, *args: Any) -> None:
        super().__init__(*(args or (text,)))
        self.text = text

    def __str__(self) -> str:
        return self.text


class Invalid(PciPassthroughError):
    """The caller's input is malformed."""

    code = 'invalid'


class InvalidPciInformation(Invalid):
    """An entry of ``[agent] pci_information`` cannot be used.

    :param entry: the entry as written in the configuration file.
    :param key: the key at fault; None if the whole entry is at fault.
    :param reason: what is wrong.
    :param example: a valid entry, or a valid part of an entry.
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
    :param example: a valid value.
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
    """A request for devices cannot be accepted.

    :param text: the request, or the part of the request at fault.
    :param reason: what is wrong.
    """

    code = 'request.invalid'

    def __init__(self, text: str, reason: str) -> None:
        self.request = text
        self.reason = reason
        super().__init__(f'request {text!r}: {reason}', text, reason)


class InvalidNic(Invalid):
    """A NIC asks for a PCI flavor that cannot serve this NIC."""

    code = 'nic.invalid'


class InvalidConfiguration(Invalid):
    """An option, or a combination of options, cannot be used."""

    code = 'configuration.invalid'


class UnsupportedNova(Invalid):
    """Nova's code differs from the releases this project was tested with.

    :param text: every difference, and how to resolve it.
    """

    code = 'nova.unsupported'


class HostOverBudget(Invalid):
    """A host reports more than one host may have.

    :param host: its name.
    :param noun: what is limited, in words.
    :param count: how many the host reports.
    :param most: how many a host may have.
    :param option: of ``[conductor]``, which sets the limit.
    """

    code = 'host.over_budget'

    def __init__(
        self, host: str, noun: str, count: int, most: int, option: str
    ) -> None:
        self.host = host
        self.noun = noun
        self.count = count
        self.most = most
        super().__init__(
            f'host {host!r} would have {count} {noun}, and one host may have '
            f'{most}; nothing of its report was recorded. Let '
            'pci_information of the host match fewer devices, or give them '
            f'fewer different tags. If the host is right, raise [conductor] '
            f'{option}',
            host,
            noun,
            count,
            most,
            option,
        )


class NotFound(PciPassthroughError):
    """A resource does not exist, or the caller may not see it."""

    code = 'not_found'


class PciFlavorNotFound(NotFound):
    """No PCI flavor has the given name or UUID."""

    code = 'pci_flavor.not_found'

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f'there is no PCI flavor {name!r}',
            name,
        )


class PciDeviceNotFound(NotFound):
    """No device has the given UUID, or the given host and address."""

    code = 'pci_device.not_found'

    def __init__(self, device: str) -> None:
        self.device = device
        super().__init__(
            f'there is no PCI device {device!r}',
            device,
        )


class HostNotFound(NotFound):
    """No pci-passthrough-agent has ever reported from the host."""

    code = 'host.not_found'

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(
            f'host {host!r} is unknown: no pci-passthrough-agent has '
            'reported from this host',
            host,
        )


class Conflict(PciPassthroughError):
    """A resource exists, but its state does not allow the operation."""

    code = 'conflict'


#: Words for the origin of a PCI flavor, see ``objects.fields``.
_ORIGINS = {
    'built-in': '; it is built in: set its state to active to use it',
    'group': '; it was made from the group of this name that hosts report: '
    'change it, or choose another name',
}


class PciFlavorExists(Conflict):
    """Another PCI flavor already has the name.

    :param holders: if the PCI flavor with the name was deleted while in use,
        how many devices instances still hold by it; 0 if the PCI flavor was
        not deleted.
    :param origin: of the PCI flavor with the name; None means that a person
        made it, or that the caller must not know.
    """

    code = 'pci_flavor.exists'

    def __init__(
        self, name: str, holders: int = 0, origin: str | None = None
    ) -> None:
        self.name = name
        self.holders = holders
        text = f'a PCI flavor named {name!r} exists already'
        text += _ORIGINS.get(origin or '', '')
        if holders:
            text = (
                f'the name {name!r} is still taken: the PCI flavor was '
                f'deleted while it was in use, and instances still hold '
                f'{holders} device(s) by it; the name can be used again '
                'when the last of these devices is free'
            )
        # Services of an earlier release know no third argument.
        super().__init__(text, name, holders, *filter(None, [origin]))


class PciFlavorBuiltIn(Conflict):
    """A built-in PCI flavor cannot be deleted."""

    code = 'pci_flavor.built_in'

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f'PCI flavor {name!r} is built in and cannot be deleted; disable '
            'it, and no list shows it any more',
            name,
        )


class PciFlavorInUse(Conflict):
    """Instances hold devices by the PCI flavor.

    :param holders: how many devices instances hold by the PCI flavor; for a
        narrower match expression, how many held devices would no longer
        match.
    :param instances: UUIDs of some of the instances. Only administrators may
        see them, so they are not part of the text.
    """

    code = 'pci_flavor.in_use'

    def __init__(
        self, name: str, holders: int, instances: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.holders = holders
        self.instances = list(instances)
        super().__init__(
            f'PCI flavor {name!r} is in use: instances hold {holders} '
            'device(s) that prevent the change. A PCI flavor in use cannot '
            'be renamed. Only with force can it be deleted, or changed so '
            'that it no longer matches a held device. To refuse new '
            'requests only, set its state to disabled; instances keep their '
            'devices',
            name,
            holders,
            self.instances,
        )


class PciFlavorChanged(Conflict):
    """Another client changed the PCI flavor since the caller read it."""

    code = 'pci_flavor.changed'

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f'PCI flavor {name!r} was changed by another client in the '
            'meantime; read it again and repeat your change',
            name,
        )


class DeviceStateConflict(Conflict):
    """A device's state does not allow the requested transition.

    :param device: UUID or address.
    :param action: the requested transition, for example ``allocate``.
    :param state: the device's present state.
    :param allowed: the states from which the action is possible.
    :param reason: the operator's reason for the present state; None if no
        reason is recorded.
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
            # Earlier releases rebuild the error from four arguments.
            *(() if reason is None else (reason,)),
        )


class HostInUse(Conflict):
    """Instances hold devices of a host that is to be forgotten.

    :param host: its name.
    :param devices: how many devices instances hold.
    :param holders: each of these devices with its instance, as text. Only
        administrators may see them.
    """

    code = 'host.in_use'

    def __init__(
        self, host: str, devices: int, holders: Sequence[str] = ()
    ) -> None:
        self.host = host
        self.devices = devices
        self.holders = list(holders)
        names = ', '.join(self.holders[:_MOST_HOLDERS])
        if len(self.holders) > _MOST_HOLDERS:
            names += f' and {len(self.holders) - _MOST_HOLDERS} more'
        super().__init__(
            f'instances hold {devices} device(s) of host {host!r}'
            f'{": " if names else ""}{names}. Move or delete these instances '
            'first. Only with force and a reason is the host forgotten '
            'although they have the devices: that is for a machine that will '
            'never run them again',
            host,
            devices,
            self.holders,
        )


#: Holders that the text of an error names.
_MOST_HOLDERS = 20


class HostOutOfService(Conflict):
    """Devices of a host that is to be forgotten must not be given away.

    :param host: its name.
    :param devices: each of these devices with its state, as text.
    """

    code = 'host.out_of_service'

    def __init__(self, host: str, devices: Sequence[str]) -> None:
        self.host = host
        self.devices = list(devices)
        super().__init__(
            f'devices of host {host!r} are not fit for another instance, '
            'which would be forgotten, too'
            f'{": " if self.devices else ""}'
            f'{", ".join(self.devices[:_MOST_HOLDERS])}. If the host comes '
            'back, they are given away as they are. With force and a reason '
            'it is forgotten nevertheless',
            host,
            self.devices,
        )


class HostIsUp(Conflict):
    """A service of a host still works, and would bring the host back.

    :param host: its name.
    :param service: the program that runs there.
    :param timeout: seconds without a sign of life after which it is down.
    """

    code = 'host.up'

    def __init__(self, host: str, service: str, timeout: float) -> None:
        self.host = host
        self.service = service
        self.timeout = timeout
        super().__init__(
            f'host {host!r} is up: its {service} has shown a sign of life '
            f'within the last {timeout:g} seconds, and would go on with the '
            f'host at once. Stop {service} there, and keep it from starting '
            f'again; then repeat this after {timeout:g} seconds',
            host,
            service,
            timeout,
        )


class HostsDiffer(Conflict):
    """A host cannot get the name of another host that has reported.

    :param host: the wanted name.
    :param reason: why the two are not one, and what to do.
    """

    code = 'host.differs'

    def __init__(self, host: str, reason: str) -> None:
        self.host = host
        self.reason = reason
        super().__init__(
            f'a host has reported by the name {host!r}, and {reason}',
            host,
            reason,
        )


class ClaimMismatch(Conflict):
    """The instance already holds devices that differ from the requests."""

    code = 'claim.mismatch'

    def __init__(self, instance_uuid: str, reason: str) -> None:
        self.instance_uuid = instance_uuid
        super().__init__(
            f'instance {instance_uuid} already holds devices: {reason}',
            instance_uuid,
            reason,
        )


class ClaimRefused(Conflict):
    """No assignment of free devices serves all requests.

    :param reasons: ``objects.RefusalReason`` objects, one for each host,
        request and condition that failed. Only administrators may see them,
        because they name hosts.
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
    """A peer does not answer. The same call may succeed later."""

    code = 'unavailable'


class LibvirtUnavailable(Unavailable):
    """libvirt does not answer, so the host's devices cannot be listed."""

    code = 'libvirt.unavailable'

    def __init__(self, uri: str, reason: str) -> None:
        self.uri = uri
        self.reason = reason
        super().__init__(
            f'libvirt at {uri} is unavailable: {reason}',
            uri,
            reason,
        )


class ConductorUnavailable(Unavailable):
    """No pci-passthrough-conductor answers."""

    code = 'conductor.unavailable'


class DatabaseNotReady(Unavailable):
    """The database's schema is missing or has another version."""

    code = 'database.not_ready'


class DatabaseUnavailable(Unavailable):
    """The database does not answer, or repeatedly aborts a transaction."""

    code = 'database.unavailable'


class NovaUnavailable(Unavailable):
    """Nova's REST API does not answer, or not as expected."""

    code = 'nova.unavailable'


class LimitsUnknown(Unavailable):
    """Keystone does not tell the limits of a project."""

    code = 'limits.unknown'


class HostBusy(Unavailable):
    """A conductor executes as many calls of a host as it may already.

    :param host: its name.
    :param most: calls of one host that a conductor executes at a time.
    """

    code = 'host.busy'

    def __init__(self, host: str, most: int) -> None:
        self.host = host
        self.most = most
        super().__init__(
            f'the conductor executes {most} calls of host {host!r} already, '
            'and no more of one host at a time; repeat the call later. If '
            'the host needs more, raise [conductor] calls_per_host',
            host,
            most,
        )


class ClaimContended(Unavailable):
    """Other claims won the race each time. Devices may still be free."""

    code = 'claim.contended'
