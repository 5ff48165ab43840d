# SPDX-License-Identifier: Apache-2.0
"""Asks Nova's REST API for its host aggregates."""

from typing import Any

from oslo_log import log as logging

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.nova_api import connection
from pci_passthrough.specs import aggregate_metadata

LOG = logging.getLogger(__name__)

_NOT_CONFIGURED = (
    'it cannot ask Nova for host aggregates: the group [nova] of its '
    'configuration has no auth_type'
)


class Aggregates(connection.Connection):
    """Nova's host aggregates, asked anew each time. Thread-safe."""

    def check_usable(self, values: dict[str, Any]) -> None:
        """Check that what a PCI flavor is set to can be honoured.

        :param values: the fields to set.
        :raises InvalidPciFlavor: it is to be restricted to host aggregates,
            and there are no credentials to ask Nova for them.
        """
        if values.get(aggregate_metadata.FIELD) and not self.is_configured:
            raise exception.InvalidPciFlavor(
                aggregate_metadata.FIELD,
                f'no claim could honour it: {_NOT_CONFIGURED}',
                '[nova] auth_type = password, for conductor and REST API',
            )

    def get(self) -> claims.HostAggregates:
        """Return the metadata of the aggregates that each host is in.

        If Nova does not answer, the answer says so; nothing is raised.
        """
        if not self.is_configured:
            return claims.HostAggregates({}, f'the service: {_NOT_CONFIGURED}')
        try:
            answer = self.nova().get('/os-aggregates').json()
            return claims.HostAggregates.of(
                (aggregate['hosts'], aggregate['metadata'])
                for aggregate in answer['aggregates']
            )
        except connection.ERRORS as error:
            # The text may have addresses, so only the log gets it.
            LOG.error(
                'Nova did not tell its host aggregates. PCI flavors with '
                'aggregate_metadata serve nobody until it does: %s: %s',
                type(error).__name__,
                error,
            )
            return claims.HostAggregates(
                {}, 'Nova did not tell its host aggregates'
            )
