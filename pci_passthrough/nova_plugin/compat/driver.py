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
    manager = getattr(driver.virtapi, '_compute', None)
    host = getattr(manager, 'host', None)
    return None if host is None else str(host)
