# SPDX-License-Identifier: Apache-2.0
"""Leaves out of the reports of hosts' agents what cannot be recorded."""

from collections.abc import Iterable

from oslo_log import log as logging

from pci_passthrough import exception
from pci_passthrough import objects

LOG = logging.getLogger(__name__)

#: Characters of the columns of ``compute_nodes``.
_LONGEST_HOST = 255
_LONGEST_VERSION = 64


def fitting(report: objects.HostReport) -> objects.HostReport:
    """Return a report without what cannot be recorded.

    Agents of this release leave it out themselves. An agent of another
    release must not lose its host by one odd fact.

    :raises: Invalid if the host's name cannot be stored.
    """
    limits = objects.recordable
    if not report.host or not limits.is_line(report.host, _LONGEST_HOST):
        raise exception.Invalid(
            f'{report.host[:_LONGEST_HOST]!r} is not a name of a host: one '
            f'line of up to {_LONGEST_HOST} printable characters'
        )
    left_out: list[str] = []
    lists = {
        name: _recordable(report.host, report.get(name, ()), left_out)
        for name in ('offered', 'refused')
    }
    version = report.agent_version
    if not limits.is_line(version, _LONGEST_VERSION):
        version = 'unknown'
    return report.replace(
        **lists,
        agent_version=version,
        withdrawn=[*report.withdrawn, *left_out],
    )


def _recordable(
    host: str, devices: Iterable[objects.PciDevice], left_out: list[str]
) -> list[objects.PciDevice]:
    """Return the devices that can be recorded, without facts that cannot.

    :param left_out: the addresses of the other devices are added to it.
    """
    recordable = []
    for device in devices:
        fitting = objects.recordable.fit(device)
        for name, reason in fitting.dropped.items():
            LOG.warning(
                'Host %s, device %s: %s is not recorded: %s',
                host,
                device.address,
                name,
                reason,
            )
        if fitting.obstacle is None:
            recordable.append(fitting.device)
            continue
        LOG.warning(
            'Host %s: device %s is left out: %s',
            host,
            device.address,
            fitting.obstacle,
        )
        left_out.append(device.address)
    return recordable
