# SPDX-License-Identifier: Apache-2.0
"""Answers about the versions of the API."""

from typing import Any

from pci_passthrough.api.schemas import base

_LINK = base.closed({'rel': base.choice(['self']), 'href': base.STRING})

_VERSION = base.closed(
    {
        'id': base.STRING,
        'status': base.choice(['CURRENT']),
        'min_version': base.STRING,
        'max_version': base.STRING,
        'links': {'type': 'array', 'items': _LINK},
    }
)

_VERSIONS: dict[str, Any] = {'type': 'array', 'items': _VERSION}

LISTED = base.closed({'versions': _VERSIONS})

SHOWN = base.closed({'version': _VERSION})
