# SPDX-License-Identifier: Apache-2.0
"""Nova's virt driver, as nova-compute has loaded it."""

import types
from typing import Any

from nova.compute import power_state

# The hypervisor has no such guest.
from nova.exception import InstanceNotFound

# The hypervisor does not answer, for example.
from nova.exception import NovaException

__all__: list[str] = []

_NOT_RUNNING = (power_state.SHUTDOWN, power_state.CRASHED)


def host_of(driver: Any) -> str | None:
    """Return the host of the nova-compute that has loaded a virt driver.

    :param driver: Nova's ``LibvirtDriver``; its ``virtapi`` is the compute
        manager's ``ComputeVirtAPI``.
    :returns: None if the driver was loaded by another program.
    """
    host = getattr(_manager(driver), 'host', None)
    return None if host is None else str(host)


def resource_tracker_of(driver: Any) -> Any:
    """Return the ``ResourceTracker`` beside a virt driver; None as above."""
    manager = _manager(driver)
    return None if manager is None else manager.rt


def network_api_of(driver: Any) -> Any:
    """Return Nova's client of Neutron beside a virt driver.

    :param driver: one with a resource tracker.
    """
    return _manager(driver).network_api


def _manager(driver: Any) -> Any:
    return getattr(driver.virtapi, '_compute', None)


def may_run(driver: Any, instance_uuid: str) -> bool:
    """Whether a guest of an instance runs here, or might run.

    :param driver: Nova's virt driver; ``LibvirtDriver`` finds a guest by the
        UUID alone. Nova may have deleted its record of the instance.
    """
    instance = types.SimpleNamespace(uuid=instance_uuid, name=instance_uuid)
    try:
        return driver.get_info(instance).state not in _NOT_RUNNING
    except InstanceNotFound:
        return False
    except (NovaException, NotImplementedError):
        return True
