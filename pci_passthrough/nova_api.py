# SPDX-License-Identifier: Apache-2.0
"""Asks Nova's REST API for its host aggregates."""

import threading
from typing import Any

from keystoneauth1 import exceptions
from keystoneauth1 import loading
from oslo_config import cfg
from oslo_log import log as logging

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.conf import nova_api as options
from pci_passthrough.specs import aggregate_metadata

LOG = logging.getLogger(__name__)

_NOT_CONFIGURED = (
    'it cannot ask Nova for host aggregates: the group [nova] of its '
    'configuration has no auth_type'
)


class Aggregates:
    """Nova's host aggregates, asked anew each time. Thread-safe.

    :param conf: has the credentials in the group ``[nova]``.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._lock = threading.Lock()
        self._adapter: Any = None

    @property
    def is_configured(self) -> bool:
        """Whether there are credentials to ask Nova with."""
        return self._conf[options.GROUP].auth_type is not None

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
            answer = self._nova().get('/os-aggregates').json()
            return claims.HostAggregates.of(
                (aggregate['hosts'], aggregate['metadata'])
                for aggregate in answer['aggregates']
            )
        except (
            exceptions.ClientException,
            cfg.Error,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:
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

    def _nova(self) -> Any:
        with self._lock:
            if self._adapter is None:
                auth = loading.load_auth_from_conf_options(
                    self._conf, options.GROUP
                )
                session = loading.load_session_from_conf_options(
                    self._conf, options.GROUP, auth=auth
                )
                self._adapter = loading.load_adapter_from_conf_options(
                    self._conf, options.GROUP, session=session, auth=auth
                )
            return self._adapter
