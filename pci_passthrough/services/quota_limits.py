# SPDX-License-Identifier: Apache-2.0
"""The limits of projects, which Keystone has and oslo.limit reads.

A conductor remembers them for some seconds. While Keystone is away, claims go
on with the limits that were known last: devices must not become unusable with
Keystone. The check of a new request says that the limits are not known.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
import math
import threading
import time
from typing import Final
from typing import Protocol

from keystoneauth1 import exceptions as ksa_exceptions
from oslo_config import cfg
from oslo_log import log as logging

from pci_passthrough import claims
from pci_passthrough import exception

LOG = logging.getLogger(__name__)

#: Seconds after a failure for which Keystone is not asked again, at least.
#: Otherwise each claim would wait for it in its turn.
_FAILED: Final = 10.0

#: Limits by resource: of a project, or the registered ones for None.
Fetch = Callable[[str | None], Mapping[str, int]]


class Limits(Protocol):
    """The limits of projects for PCI flavors; both are a ``LimitsOf``."""

    def current(
        self, project_id: str, pci_flavors: Collection[str]
    ) -> Mapping[str, int]:
        """Return limits by name of a PCI flavor, not older than remembered.

        :raises: LimitsUnknown
        """

    def last_known(
        self, project_id: str, pci_flavors: Collection[str]
    ) -> Mapping[str, int]:
        """Return the limits that were known last, if there are no newer ones.

        :raises: LimitsUnknown if none were ever known.
        """


class NoLimits:
    """No project has a limit."""

    def current(
        self, project_id: str, pci_flavors: Collection[str]
    ) -> Mapping[str, int]:
        """Return that there is no limit."""
        return {}

    last_known = current


class KeystoneLimits:
    """The limits of projects in Keystone, remembered for some seconds.

    :param fetch: asks Keystone. All its errors are LimitsUnknown.
    :param remembered: seconds for which limits are remembered.
    """

    def __init__(self, fetch: Fetch, remembered: float) -> None:
        self._fetch = fetch
        self._remembered = remembered
        #: when Keystone was asked, and what it said, by project
        self._known: dict[str | None, tuple[float, Mapping[str, int]]] = {}
        self._failure: tuple[float, exception.LimitsUnknown | None]
        self._failure = 0, None
        self._lock = threading.Lock()

    def current(
        self, project_id: str, pci_flavors: Collection[str]
    ) -> Mapping[str, int]:
        """See ``Limits.current``."""
        return self._of(self._get, project_id, pci_flavors)

    def last_known(
        self, project_id: str, pci_flavors: Collection[str]
    ) -> Mapping[str, int]:
        """See ``Limits.last_known``."""
        return self._of(self._get_last_known, project_id, pci_flavors)

    def _of(
        self, get: Fetch, project_id: str, pci_flavors: Collection[str]
    ) -> Mapping[str, int]:
        registered = get(None)
        if not any(map(_is_ours, registered)):
            # Keystone has no limit of a project without a registered one.
            return {}
        own = get(project_id)
        limits = {
            name: claims.limit_of(name, own, registered)
            for name in pci_flavors
        }
        return {n: limit for n, limit in limits.items() if limit is not None}

    def _get_last_known(self, project_id: str | None) -> Mapping[str, int]:
        try:
            return self._get(project_id)
        except exception.LimitsUnknown as error:
            _, limits = self._known.get(project_id, (0, None))
            if limits is None:
                raise
            LOG.warning('Using the limits that were known last: %s', error)
            return limits

    def _get(self, project_id: str | None) -> Mapping[str, int]:
        arrived = time.monotonic()
        asked, limits = self._known.get(project_id, (-math.inf, {}))
        age = arrived - asked
        if age < self._remembered:
            return limits
        # One call at a time asks. Keystone may be slow under many requests,
        # so the others wait only if they know nothing, or nothing recent.
        if not self._lock.acquire(blocking=age >= 2 * self._remembered):
            return limits
        try:
            return self._ask(project_id, arrived)
        finally:
            self._lock.release()

    def _ask(
        self, project_id: str | None, arrived: float
    ) -> Mapping[str, int]:
        """Ask Keystone, unless another call has asked it meanwhile.

        :param arrived: when the caller wanted to know.
        """
        asked, limits = self._known.get(project_id, (-math.inf, {}))
        if asked > arrived or arrived - asked < self._remembered:
            return limits
        now = time.monotonic()
        at, error = self._failure
        if error is not None and at > now - _FAILED:
            raise error
        try:
            limits = self._fetch(project_id)
        except exception.LimitsUnknown as error:
            self._failure = time.monotonic(), error
            raise
        self._failure = 0, None
        self._known[project_id] = now, limits
        return limits


def _is_ours(resource: str) -> bool:
    name, _, _ = resource.partition(':')
    return name == claims.DEFAULT_RESOURCE


def from_conf(conf: cfg.ConfigOpts) -> Limits:
    """Return the limits of Keystone, or none if it is not configured."""
    if conf.oslo_limit.auth_type is None and (
        conf.oslo_limit.auth_section is None
    ):
        return NoLimits()
    return KeystoneLimits(
        _by_oslo_limit(conf), conf.conductor.limits_remembered
    )


#: Seconds to wait for Keystone, if ``[oslo_limit] timeout`` is not set.
_TIMEOUT: Final = 10


def _by_oslo_limit(conf: cfg.ConfigOpts) -> Fetch:
    """Return a function that asks Keystone by oslo.limit."""
    # Not at the top: openstacksdk takes long to import.
    from openstack import exceptions as sdk_exceptions
    from oslo_limit import exception as limit_exceptions
    from oslo_limit import limit

    # oslo.limit reads the global configuration, and no other.
    cfg.CONF(
        [],
        project='pci_passthrough',
        default_config_files=conf.config_file,
        default_config_dirs=conf.config_dir,
    )
    cfg.CONF.set_default('timeout', _TIMEOUT, group='oslo_limit')

    def fetch(project_id: str | None) -> Mapping[str, int]:
        try:
            # No cache of its own: it would last as long as the enforcer.
            enforcer = limit.Enforcer(lambda *_: {}, cache=False)
            # None means all resources; the annotation lacks it.
            every: list[str] = None  # type: ignore[assignment]
            if project_id is None:
                return dict(enforcer.get_registered_limits(every))
            return dict(enforcer.get_project_limits(project_id, every))
        except (
            sdk_exceptions.SDKException,
            ksa_exceptions.ClientException,
            limit_exceptions.SessionInitError,
            # The endpoint of [oslo_limit] does not exist.
            ValueError,
            # Keystone's enforcement model is not flat.
            NotImplementedError,
        ) as error:
            raise exception.LimitsUnknown(
                'Keystone does not tell the limits of projects: '
                f'{str(error) or type(error).__name__}'
            ) from error

    return fetch
