# SPDX-License-Identifier: Apache-2.0
"""Refusals of Nova's scheduler."""

from typing import Any

from openstack import resource

from pci_passthrough.sdk import base


class Refusal(base.Resource):
    """Why Nova's scheduler refused hosts to a server."""

    resources_key = 'refusals'
    base_path = '/refusals'
    allow_list = True
    query_names = ('server', 'pci_flavor', 'since')

    created_at: str = resource.Body('created_at')
    #: UUID of the server.
    server: str = resource.Body('server')
    project_id: str | None = resource.Body('project_id')
    requests: str | None = resource.Body('requests')
    #: ``condition``, ``pci_flavor``, ``text`` and, for some users, the number
    #: of ``hosts`` and ``some_hosts``.
    reasons: list[dict[str, Any]] = resource.Body('reasons', type=list)
    #: How many hosts were left.
    passed: int | None = resource.Body('passed', type=int)
