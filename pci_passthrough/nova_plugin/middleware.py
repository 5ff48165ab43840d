# SPDX-License-Identifier: Apache-2.0
"""Brings the door into nova-api, or keeps it from starting.

A paste filter which only has to be loaded: it passes on every request as it
came. nova-api without the door would pass over a flavor's PCI flavors.
"""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from pci_passthrough.nova_plugin import bootstrap


def factory(
    global_conf: Mapping[str, str], **local_conf: str
) -> Callable[[Any], Any]:
    """Install the door and return a filter that changes nothing.

    :raises UnsupportedNova: the application is not loaded then.
    """
    bootstrap.install()
    return _unchanged


def _unchanged(application: Any) -> Any:
    return application
