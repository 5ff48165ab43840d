# SPDX-License-Identifier: Apache-2.0
"""Logs the result of a scan."""

from oslo_log import log as logging

from pci_passthrough.discovery import scan

LOG = logging.getLogger(__name__)


def log_scan(result: scan.Scan) -> None:
    """Log how many devices are offered, and why some are not."""
    LOG.info(
        'Scanned the host: %d devices offered, %d refused, %d others',
        len(result.offered),
        len(result.refused),
        len(result.others),
    )
    for offered in result.offered:
        for name, reason in offered.dropped.items():
            LOG.warning(
                'Device %s is offered without its %s, which cannot be '
                'recorded: %s',
                offered.device.address,
                name,
                reason,
            )
    for address, reason in result.unusable.items():
        LOG.warning('Device %s is not offered: %s', address, reason)
    for refused in result.refused:
        LOG.warning(
            'Device %s matches pci_information entry %d but is refused: %s',
            refused.device.address,
            refused.entry.index,
            refused.reason,
        )
