# SPDX-License-Identifier: Apache-2.0
"""Nova's virt driver, as nova-compute has loaded it."""

from typing import Any

__all__: list[str] = []


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


def _manager(driver: Any) -> Any:
    return getattr(driver.virtapi, '_compute', None)
