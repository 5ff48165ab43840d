# SPDX-License-Identifier: Apache-2.0
"""The RPC methods of the conductors: one declaration of each.

``ConductorClient`` calls the methods and the endpoints in ``services`` answer
them, both by their declaration in ``Conductor``. mypy compares the callers
and the endpoints with the declarations, and
``tests/unit/services/test_methods.py`` compares names, order and defaults.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import inspect
from typing import Any
from typing import Concatenate
from typing import Final
from typing import Generic
from typing import ParamSpec
from typing import Protocol
from typing import Self
from typing import TypeVar

from oslo_utils import versionutils
from oslo_versionedobjects import base as ovo_base

from pci_passthrough import objects

_P = ParamSpec('_P')
_R = TypeVar('_R')

#: The newest version of the interface, and its history:
#:
#: * 1.0 - heartbeat, report, claim, allocate, abort, free,
#:   object_backport_versions
#: * 1.1 - resolve, offer, register_tracker, host_devices, adopt,
#:   note_refusals, hosts_with_devices; PciDevice and RefusalReason 1.1
#: * 1.2 - create_pci_flavor, update_pci_flavor, delete_pci_flavor,
#:   share_pci_flavor, set_device
#: * 1.3 - PciRequest 1.1 in resolve, offer and claim: requests for NICs
#: * 1.4 - free_by_numa_node, resolve_device, given_out
#: * 1.5 - preparations, may_prepare, preparation_progress, prepared,
#:   start_failed, guest_started; the action ``clean`` of set_device;
#:   forget_host, note_repair
#: * 1.6 - the instance's project in claim and adopt; PciDevice 1.5;
#:   check_quota, project_limits
VERSION: Final = '1.6'

#: The version that resolve, offer and claim need for requests for NICs.
NICS: Final = '1.3'

#: The version that claim and adopt need for the project of the instance.
PROJECTS: Final = '1.6'


@dataclasses.dataclass(frozen=True)
class Method(Generic[_P, _R]):
    """One RPC method.

    :ivar name: its name on the wire.
    :ivar since: the version of the interface that a call requires.
    :ivar signature: the arguments and the result, with their types on the
        wire. An argument with a default may be missing in a message.
    :ivar repeats: whether a call that got no answer for a while is sent again
        within its timeout: the conductor that got it may hang, and a second
        execution right after the first changes nothing.
    """

    name: str
    since: str
    signature: inspect.Signature
    repeats: bool = False

    def requiring(self, version: str) -> Self:
        """Return the method for a call that requires a later version."""
        return dataclasses.replace(
            self,
            since=max(
                self.since, version, key=versionutils.convert_version_to_tuple
            ),
        )


def _since(
    version: str, repeats: bool = False
) -> Callable[[Callable[Concatenate[Any, _P], _R]], Method[_P, _R]]:
    """Make a declared function a ``Method`` that came with a version."""

    def declare(
        function: Callable[Concatenate[Any, _P], _R],
    ) -> Method[_P, _R]:
        signature = inspect.signature(function)
        _, *parameters = signature.parameters.values()
        return Method(
            function.__name__,
            version,
            signature.replace(parameters=parameters),
            repeats,
        )

    return declare


class Conductor(Protocol):
    """The methods. Only declarations: nothing inherits from this class.

    ``ConductorClient`` documents the arguments and the errors of each method.
    """

    @_since('1.0', repeats=True)
    def heartbeat(
        self, host: str, generation: int, digest: str
    ) -> objects.ReportAck: ...

    @_since('1.0', repeats=True)
    def report(self, report: objects.HostReport) -> objects.ReportAck: ...

    @_since('1.0', repeats=True)
    def claim(
        self,
        host: str,
        instance_uuid: str,
        requests: list[objects.PciRequest],
        actor: str,
        numa: objects.NumaAffinity | None = None,
        project_id: str | None = None,
        owner_project_id: str | None = None,
        replaces: bool = False,
    ) -> objects.ClaimResult: ...

    @_since('1.0', repeats=True)
    def allocate(
        self,
        host: str,
        instance_uuid: str,
        actor: str,
        request_ids: list[str] | None = None,
    ) -> objects.ClaimResult: ...

    @_since('1.0', repeats=True)
    def abort(
        self,
        host: str,
        instance_uuid: str,
        actor: str,
        request_ids: list[str] | None = None,
    ) -> objects.ClaimResult: ...

    @_since('1.0', repeats=True)
    def free(
        self,
        host: str | None,
        instance_uuid: str,
        actor: str,
        request_ids: list[str] | None = None,
    ) -> objects.ClaimResult: ...

    @_since('1.0', repeats=True)
    def object_backport_versions(
        self,
        objinst: ovo_base.VersionedObject,
        object_versions: dict[str, str],
    ) -> Any: ...

    @_since('1.1', repeats=True)
    def resolve(
        self,
        requests: list[objects.PciRequest],
        project_id: str | None = None,
        take_disabled: bool = False,
    ) -> list[objects.ResolvedRequest]: ...

    @_since('1.1', repeats=True)
    def offer(
        self,
        requests: list[objects.PciRequest],
        hosts: list[str] | None,
        project_id: str | None = None,
        instance_uuid: str | None = None,
        tracked_only: bool = True,
    ) -> objects.SchedulingOffer: ...

    @_since('1.6', repeats=True)
    def check_quota(
        self,
        project_id: str,
        requests: list[objects.PciRequest],
        servers: int = 1,
        instance_uuid: str | None = None,
        host: str | None = None,
        replaces: bool = False,
    ) -> objects.QuotaAnswer: ...

    @_since('1.6', repeats=True)
    def project_limits(
        self, project_ids: list[str], pci_flavors: list[str]
    ) -> dict[str, dict[str, int]]: ...

    @_since('1.1', repeats=True)
    def hosts_with_devices(self) -> list[str]: ...

    @_since('1.4', repeats=True)
    def free_by_numa_node(self) -> dict[str, list[list[int]]]: ...

    @_since('1.1', repeats=True)
    def register_tracker(
        self, host: str, version: str
    ) -> objects.TrackerAck: ...

    @_since('1.1', repeats=True)
    def host_devices(self, host: str) -> list[objects.PciDevice]: ...

    @_since('1.4', repeats=True)
    def given_out(self, host: str) -> list[str]: ...

    @_since('1.1', repeats=True)
    def adopt(
        self,
        host: str,
        instance_uuid: str,
        request_id: str,
        addresses: list[str],
        actor: str,
        pci_flavor_uuid: str | None = None,
        project_id: str | None = None,
    ) -> list[objects.PciDevice]: ...

    @_since('1.5')
    def note_repair(
        self,
        host: str,
        instance_uuid: str,
        addresses: list[str],
        repair: str,
        actor: str,
    ) -> None: ...

    @_since('1.1')
    def note_refusals(self, refusal: objects.SchedulingRefusal) -> None: ...

    @_since('1.2')
    def create_pci_flavor(
        self,
        name: str,
        project_id: str | None,
        values: dict[str, Any],
        actor: str,
    ) -> objects.PciFlavor: ...

    @_since('1.2')
    def update_pci_flavor(
        self,
        name: str,
        changes: dict[str, Any],
        generation: int | None,
        force: bool,
        actor: str,
    ) -> objects.PciFlavor: ...

    @_since('1.2')
    def delete_pci_flavor(
        self, name: str, generation: int | None, force: bool, actor: str
    ) -> int: ...

    @_since('1.2')
    def share_pci_flavor(
        self,
        name: str,
        project_id: str,
        shared: bool,
        actor: str,
        generation: int | None = None,
    ) -> objects.PciFlavor: ...

    @_since('1.2')
    def set_device(
        self, device: str, action: str, reason: str, actor: str
    ) -> objects.PciDevice: ...

    @_since('1.4')
    def resolve_device(
        self, device: str, moved_to: str | None, reason: str, actor: str
    ) -> objects.PciDevice: ...

    @_since('1.5')
    def forget_host(
        self, host: str, force: bool, reason: str, actor: str
    ) -> int: ...

    @_since('1.5', repeats=True)
    def preparations(self, host: str) -> list[objects.Preparation]: ...

    @_since('1.5')
    def may_prepare(self, host: str, address: str, fence: int) -> bool: ...

    @_since('1.5')
    def preparation_progress(
        self,
        host: str,
        address: str,
        fence: int,
        percent: int | None,
        text: str,
    ) -> None: ...

    @_since('1.5')
    def prepared(
        self,
        host: str,
        address: str,
        fence: int,
        succeeded: bool,
        output: str,
    ) -> str: ...

    @_since('1.5')
    def start_failed(
        self, host: str, instance_uuid: str, text: str, actor: str
    ) -> None: ...

    @_since('1.5')
    def guest_started(
        self, host: str, instance_uuid: str, actor: str
    ) -> None: ...


def declared() -> Mapping[str, Method[..., Any]]:
    """Return all methods, by name."""
    return {
        method.name: method
        for method in vars(Conductor).values()
        if isinstance(method, Method)
    }
