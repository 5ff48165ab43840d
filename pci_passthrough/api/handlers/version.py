# SPDX-License-Identifier: Apache-2.0
"""The versions of the REST API."""

from typing import Any

from werkzeug import wrappers

from pci_passthrough.api import microversion
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses


def index(request: request_mod.ApiRequest) -> wrappers.Response:
    """List all versions."""
    return responses.of({'versions': [_version(request)]})


def show(request: request_mod.ApiRequest) -> wrappers.Response:
    """Show the only version."""
    return responses.of({'version': _version(request)})


def _version(request: request_mod.ApiRequest) -> dict[str, Any]:
    return {
        'id': 'v1.0',
        'status': 'CURRENT',
        'min_version': microversion.MIN,
        'max_version': microversion.MAX,
        'links': [{'rel': 'self', 'href': f'{request.root_url}v1'}],
    }
