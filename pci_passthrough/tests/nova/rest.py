# SPDX-License-Identifier: Apache-2.0
"""Connections of this project to Nova's REST API in the tests' process."""

from keystoneauth1 import adapter
from keystoneauth1 import noauth
from keystoneauth1 import session

from pci_passthrough.nova_api import connection


class InProcess(connection.Connection):
    """An administrator's connection; that API wants headers for a token.

    :ivar url: the address of the API.
    """

    is_configured = True

    def __init__(self) -> None:
        self.url = ''

    def nova(self) -> adapter.Adapter:
        """Return the adapter for Nova."""
        return adapter.Adapter(
            session.Session(
                auth=noauth.NoAuth(),
                additional_headers={
                    'X-Auth-User': 'admin',
                    'X-User-Id': 'admin',
                    'X-Auth-Project-Id': 'admin',
                    'X-Roles': 'admin',
                },
            ),
            service_type='compute',
            endpoint_override=self.url,
        )
