# SPDX-License-Identifier: Apache-2.0
"""The user and project behind a REST request, and what they may see and do.

Handlers ask the viewer, never a policy, what an answer may contain.
"""

import dataclasses
import functools
from typing import Self
from typing import TYPE_CHECKING

from oslo_context import context as oslo_context
from oslo_policy import policy

from pci_passthrough import exception
from pci_passthrough.api import errors
from pci_passthrough.api.policies import pci_device as device_policy
from pci_passthrough.api.policies import pci_flavor as flavor_policy
from pci_passthrough.api.policies import pci_pool as pool_policy

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Stands for the viewer's own project; no project has this id.
_OWN = ''

#: The largest count that a viewer who may not see numbers can ask about: the
#: PCI devices of one server. Otherwise the viewer could find out the number by
#: asking about one count after the other.
_LARGEST_COARSE_COUNT = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Viewer:
    """The user and project that a request is from.

    Each ``sees_…`` is the answer of one policy. Policies are checked against
    a project: the owner of the PCI flavor in question, by default the
    viewer's own. None is the owner of a PCI flavor that belongs to no
    project; then no policy that compares projects is fulfilled.

    :ivar project_id: the viewer's own project; None means that the token has
        none.
    :ivar actor: the user's name and id, for logs and the ledger.
    """

    project_id: str | None
    actor: str
    _context: oslo_context.RequestContext
    _enforcer: policy.Enforcer

    @classmethod
    def from_environ(
        cls, environ: 'WSGIEnvironment', enforcer: policy.Enforcer
    ) -> Self:
        """Return the viewer that the middleware authenticated.

        :param enforcer: the policies.
        """
        context = oslo_context.RequestContext.from_environ(environ)
        name = context.user_name or ''
        actor = context.user_id or ''
        if name.isprintable() and name not in ('', actor):
            actor = f'{name} {actor}'
        return cls(
            context.project_id,
            f'{actor} (pci-passthrough-api)',
            context,
            enforcer,
        )

    @functools.cached_property
    def sees_all(self) -> bool:
        """Whether to show all projects' PCI flavors, and their owners."""
        return self.may(flavor_policy.ALL_PROJECTS)

    @functools.cached_property
    def sees_holders(self) -> bool:
        """Whether to show how many devices are held, and by whom."""
        return self.may(device_policy.LIST)

    @property
    def sees_pools(self) -> bool:
        """Whether to show pools, which name hosts."""
        return self.may(pool_policy.LIST)

    @property
    def sees_availability(self) -> bool:
        """Whether to show if a PCI flavor's devices are available."""
        return self.may(flavor_policy.AVAILABILITY)

    def sees_counts(self, owner: str | None = _OWN) -> bool:
        """Return whether to show numbers of devices, free and in all."""
        return self.may(flavor_policy.AVAILABILITY_COUNTS, owner)

    def sees_hosts(self, owner: str | None = _OWN) -> bool:
        """Return whether to explain host by host, with numbers."""
        return self.may(flavor_policy.EXPLAIN_HOSTS, owner)

    def may(self, rule: str, owner: str | None = _OWN) -> bool:
        """Return whether a policy allows something."""
        target = {}
        if owner is not None:
            target['project_id'] = owner or self.project_id
        try:
            return self._enforcer.authorize(rule, target, self._context)
        except policy.InvalidScope:
            return False

    def check(self, rule: str, owner: str | None = _OWN) -> None:
        """Check that a policy allows something.

        :raises Forbidden: it does not.
        """
        if not self.may(rule, owner):
            raise errors.Forbidden(
                f'The policy {rule} does not allow you to do this.'
            )

    def check_count(self, count: int, rule: str, owner: str | None) -> None:
        """Check that the answers for a count would not reveal numbers.

        :param count: the number of devices that the viewer asks about.
        :param rule: the policy for seeing numbers.
        :raises Forbidden: they would, and the policy does not allow it.
        """
        if count > _LARGEST_COARSE_COUNT and not self.may(rule, owner):
            raise errors.Forbidden(
                f'The policy {rule} does not allow you to ask about more than '
                f'{_LARGEST_COARSE_COUNT} devices at a time.'
            )

    def readable(self, error: exception.Conflict) -> exception.Conflict:
        """Return an error without the holders that it must not reveal."""
        if self.sees_holders:
            return error
        if isinstance(error, exception.PciFlavorExists):
            return exception.PciFlavorExists(error.name)
        if isinstance(error, exception.PciFlavorInUse):
            return _InUse(f'PCI flavor {error.name!r} is in use.')
        if isinstance(error, exception.HostInUse):
            return exception.HostInUse(error.host, error.devices)
        if isinstance(error, exception.HostOutOfService):
            return exception.HostOutOfService(error.host, [])
        return error


class _InUse(exception.Conflict):
    """A PCI flavor is in use; leaves out by which instances."""

    code = exception.PciFlavorInUse.code
