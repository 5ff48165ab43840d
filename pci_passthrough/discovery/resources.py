# SPDX-License-Identifier: Apache-2.0
"""Finds the devices that are no PCI functions, by their resource types.

``find`` asks the types that entries of pci_information name. The others decide
and are pure.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from oslo_log import log

from pci_passthrough import exception
from pci_passthrough import resource_types
from pci_passthrough.discovery import deliverable
from pci_passthrough.discovery import host_facts
from pci_passthrough.objects import device as device_obj
from pci_passthrough.objects import fields
from pci_passthrough.specs import extra_info
from pci_passthrough.specs import pci_information as pci_information_module

LOG = log.getLogger(__name__)

#: The resource types by name, the result of ``resource_types.load``.
Types = Mapping[str, resource_types.ResourceType]


@dataclasses.dataclass(frozen=True, slots=True)
class Resources:
    """The devices of one scan that are no PCI functions.

    :ivar limits_itself: the types that heed the ``count`` of entries.
    """

    found: Sequence[resource_types.Found] = ()
    limits_itself: frozenset[str] = frozenset()

    @property
    def devices(self) -> list[device_obj.PciDevice]:
        """The devices alone."""
        return devices(self.found)

    def with_refusals(self, refusals: Mapping[str, str]) -> 'Resources':
        """Return the same devices, some of them refused for more reasons."""
        return dataclasses.replace(
            self,
            found=[
                dataclasses.replace(
                    item, refusal=refusals.get(str(item.device.address))
                )
                if item.refusal is None
                else item
                for item in self.found
            ],
        )

    @property
    def given_out(self) -> set[str]:
        """The addresses of the devices that guests have now."""
        return {
            str(item.device.address)
            for item in self.found
            if item.is_given_out
        }

    @property
    def addresses(self) -> frozenset[str]:
        """The addresses of the devices."""
        return frozenset(str(item.device.address) for item in self.found)

    @property
    def refusals(self) -> dict[str, str]:
        """Why the host refuses devices, by address."""
        return {
            str(item.device.address): item.refusal
            for item in self.found
            if item.refusal is not None
        }


def find(
    types: Types,
    host: str,
    root: str | None,
    documents: Sequence[str],
    functions: Sequence[device_obj.PciDevice],
    pci_information: pci_information_module.PciInformation,
) -> Resources:
    """Return the devices of all types that an entry is about.

    :param types: the known types; entries about others find nothing.
    :raises Unavailable: the devices of a type cannot be read now.
    """
    found: list[resource_types.Found] = []
    for name, resource_type in types.items():
        entries = tuple(
            entry
            for entry in pci_information.entries
            if entry.resource_type == name
        )
        if not entries:
            continue
        where = resource_types.Host(
            name=host,
            root=root,
            documents=documents,
            functions=functions,
            entries=entries,
        )
        try:
            of_type = list(resource_type.find(where))
        except Exception as error:
            # OSError is the documented one; other packages have types, too.
            raise exception.Unavailable(
                f'the host cannot be searched for devices of type {name}: '
                f'{error or type(error).__name__}'
            ) from error
        found += _without_foreign(name, of_type, [*functions, *devices(found)])
    return Resources(
        found,
        frozenset(name for name in types if types[name].heeds_count),
    )


def devices(
    found: Iterable[resource_types.Found],
) -> list[device_obj.PciDevice]:
    """Return the devices alone."""
    return [item.device for item in found]


def _without_foreign(
    name: str,
    found: Iterable[resource_types.Found],
    known: Iterable[device_obj.PciDevice],
) -> list[resource_types.Found]:
    """Leave out what a resource type must not call its own.

    An address is that of one device of a host, whatever its type.

    :param name: of the type.
    :param known: the devices that were found before.
    """
    taken = {str(device.address): device.resource_type for device in known}
    own = []
    for item in found:
        address = str(item.device.address)
        if item.device.resource_type != name:
            defect = f'it is of type {item.device.resource_type}'
        elif address in taken:
            defect = f'a device of type {taken[address]} has that address'
        else:
            taken[address] = name
            own.append(item)
            continue
        LOG.error(
            'Ignoring %s of the resource type %s: %s', address, name, defect
        )
    return own


def check_entries(
    types: Types, entries: Iterable[pci_information_module.Entry]
) -> None:
    """Check that the types of entries are known, and content with them.

    :raises InvalidPciInformation: for the first entry that is not.
    """
    for entry in entries:
        if entry.resource_type == fields.ResourceType.PCI:
            continue
        resource_type = types.get(entry.resource_type)
        if resource_type is None:
            known = ', '.join(['pci', *sorted(types)])
            raise exception.InvalidPciInformation(
                entry.text,
                'resource_type',
                f'there is no type {entry.resource_type!r}; known are: '
                f'{known}',
                '{"match": {"resource_type": "usb", "vendor_id": "1050"}}',
            )
        tag = extra_info.LIVE_MIGRATABLE
        if tag in entry.extra_info and not resource_type.can_live_migrate:
            raise exception.InvalidPciInformation(
                entry.text,
                tag,
                f'instances with devices of type {entry.resource_type} '
                'cannot be live-migrated',
                resource_type.example,
            )
        try:
            resource_type.check(entry)
        except ValueError as error:
            raise exception.InvalidPciInformation(
                entry.text,
                None,
                str(error),
                resource_type.example,
            ) from error


def reasons_given_in_parts(
    found: Iterable[resource_types.Found],
    offered: Collection[str],
    functions: Mapping[str, host_facts.Function],
) -> dict[str, str]:
    """Return why no guest can have functions as a whole, by address.

    :param found: the result of ``find``.
    :param offered: the addresses of those among them that are offered.
    """
    reasons: dict[str, str] = {}
    for item in found:
        device = item.device
        address = item.function or device.parent_addr
        if address is None or device.address not in offered:
            continue
        reason = f'{device.resource_type} device {device.address} is offered'
        reasons.setdefault(address, f'its {reason}')
        function = functions.get(address)
        if function is not None and function.physical_function is not None:
            reasons.setdefault(
                function.physical_function,
                f'of its virtual function {address}, {reason}',
            )
    return reasons


def reasons_by_count(
    matches: Mapping[str, deliverable.Match],
    refused: Collection[str],
    limits_itself: Collection[str],
) -> dict[str, str]:
    """Return why devices are more than their entry offers, by address.

    :param matches: the devices that entries match, by address.
    :param refused: addresses of those that are refused for other reasons.
    :param limits_itself: the types whose devices are as many as they should.
    """
    reasons = {}
    left: dict[int, int] = {}
    for address, (_, entry) in sorted(matches.items()):
        if (
            entry.count is None
            or address in refused
            or entry.resource_type in limits_itself
        ):
            continue
        left.setdefault(entry.index, entry.count)
        left[entry.index] -= 1
        if left[entry.index] < 0:
            reasons[address] = (
                f'entry {entry.index} offers {entry.count} of its devices, '
                'and others have lower addresses'
            )
    return reasons
