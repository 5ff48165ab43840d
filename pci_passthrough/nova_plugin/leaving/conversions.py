# SPDX-License-Identifier: Apache-2.0
"""Converts requests of PCI flavors to native ones, and back.

The ids of the requests stay: by them, Nova's rows for PCI devices belong to
the requests.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any
from typing import Protocol

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.nova_plugin import guard
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import pools
from pci_passthrough.nova_plugin.leaving import extra_specs
from pci_passthrough.nova_plugin.leaving import nics
from pci_passthrough.objects import fields

#: Looks up the PCI flavors that requests name.
Resolve = Callable[
    [Sequence[objects.PciRequest]], Sequence[objects.ResolvedRequest]
]


class Conversion(Protocol):
    """One of the commands: what it makes of Nova's records."""

    def extra_specs(self, specs: Mapping[str, str]) -> dict[str, str]:
        """Return converted extra specs of a Nova flavor.

        :raises Obstacle: they cannot be converted.
        """

    def requests(self, before: Sequence[Any], instance: Any) -> list[Any]:
        """Return converted requests; those that stay are the same objects.

        :param before: ``InstancePCIRequest`` objects of the instance.
        :param instance: Nova's instance; its flavor is not converted yet.
        :raises Obstacle: they cannot be converted.
        """


@dataclasses.dataclass(frozen=True)
class ToNative:
    """Turns requests for PCI flavors into requests for aliases.

    :ivar native: returns Nova's request for the alias that is equivalent to
        a PCI flavor, by name or UUID, or raises Obstacle.
    :ivar nics: returns those requests of an instance's NICs, of all its
        requests, whose NICs it still has.
    """

    native: Callable[[str], Any]
    nics: Callable[[Any, Sequence[Any]], Sequence[Any]]

    def extra_specs(self, specs: Mapping[str, str]) -> dict[str, str]:
        """Return extra specs that ask for aliases."""
        return extra_specs.to_native(specs, self._alias_of)

    def requests(self, before: Sequence[Any], instance: Any) -> list[Any]:
        """Return native requests, without those of NICs that are gone."""
        present = [
            request.request_id for request in self.nics(instance, before)
        ]
        return [
            self._request(request)
            if requests.is_for_pci_flavor(request)
            else request
            for request in before
            if not requests.is_for_nic(request)
            or request.request_id in present
        ]

    def _alias_of(self, pci_flavor: str) -> str:
        return str(self.native(pci_flavor).alias_name)

    def _request(self, request: Any) -> Any:
        nic = requests.nic_of(request)
        if nic is not None:
            return nics.to_native(request, nic)
        uuids = requests.to_pci_request(request).pci_flavors
        name = extra_specs.native_name(uuids, self._alias_of)
        native = self.native(uuids[0])
        return pools.InstancePCIRequest(
            count=request.count,
            spec=[dict(spec) for spec in native.spec],
            alias_name=name,
            numa_policy=request.numa_policy or native.numa_policy,
            request_id=request.request_id,
        )


@dataclasses.dataclass(frozen=True)
class ToOurs:
    """Turns requests that ``ToNative`` has made into those of before.

    :ivar alias_of: returns the name of a PCI flavor, which its alias has.
    :ivar resolve: looks up PCI flavors.
    """

    alias_of: extra_specs.AliasOf
    resolve: Resolve

    def extra_specs(self, specs: Mapping[str, str]) -> dict[str, str]:
        """Return the extra specs of before."""
        return extra_specs.to_ours(specs, self.alias_of)

    def requests(self, before: Sequence[Any], instance: Any) -> list[Any]:
        """Return the requests for PCI flavors."""
        left = {
            extra_specs.native_name(asked.pci_flavors, self.alias_of): asked
            for asked in extra_specs.left_requests(
                requests.extra_specs(instance.flavor)
            )
        }
        return [self._restored(request, left) for request in before]

    def _restored(
        self, request: Any, left: Mapping[str, objects.PciRequest]
    ) -> Any:
        if nics.is_left(request):
            restored = nics.to_ours(request)
            # Raises Obstacle if the PCI flavor is gone.
            self.alias_of(*requests.to_pci_request(restored).pci_flavors)
            return restored
        if request.alias_name in left and not requests.is_for_pci_flavor(
            request
        ):
            return self._request(request, left[request.alias_name])
        return request

    def _request(self, request: Any, asked: objects.PciRequest) -> Any:
        asked = asked.replace(
            request_id=request.request_id, count=request.count
        )
        try:
            (resolved,) = self.resolve([asked])
        except exception.PciPassthroughError as error:
            raise extra_specs.Obstacle(
                f'asked for {asked}: {error.text}',
                'create the PCI flavor again',
            ) from error
        (pci_flavor,) = resolved.alternatives
        own_policy = pci_flavor.numa_policy or fields.NumaPolicy.LEGACY
        policy = request.numa_policy
        return requests.make_flavor_request(
            asked,
            [pci_flavor],
            # An alias has a policy always, the PCI flavor's unless the
            # instance asked for another one.
            None if policy == own_policy else policy,
        )


@dataclasses.dataclass(frozen=True)
class Guard:
    """Marks what asks for PCI flavors; see ``guard``.

    :ivar is_wanted: False removes the mark.
    """

    is_wanted: bool

    def extra_specs(self, specs: Mapping[str, str]) -> dict[str, str]:
        """Return extra specs with the mark, or without it."""
        if self.is_wanted and requests.asks_for_pci_flavors(
            {'extra_specs': specs}
        ):
            return guard.marked(specs)
        return guard.unmarked(specs)

    def requests(self, before: Sequence[Any], instance: Any) -> list[Any]:
        """Return the same requests."""
        return list(before)
