# SPDX-License-Identifier: Apache-2.0
"""The connection to Nova's REST API, with the credentials of ``[nova]``."""

import threading
from typing import Any
from typing import Final

from keystoneauth1 import exceptions
from keystoneauth1 import loading
from oslo_config import cfg

from pci_passthrough.conf import nova_api as options

#: What goes wrong when Nova is asked: no answer, wrong credentials, or an
#: answer of another form.
ERRORS: Final = (
    exceptions.ClientException,
    cfg.Error,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
)


class Connection:
    """Asks Nova's REST API; Keystone is asked first. Thread-safe.

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

    def nova(self) -> Any:
        """Return keystoneauth1's adapter for Nova.

        :raises: oslo_config.cfg.Error, keystoneauth1's ClientException
        """
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
