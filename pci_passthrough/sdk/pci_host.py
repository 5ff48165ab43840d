# SPDX-License-Identifier: Apache-2.0
"""Compute hosts that report devices."""

from openstack import resource

from pci_passthrough.sdk import base


class PciHost(base.Resource):
    """A compute host that reports devices."""

    resources_key = 'hosts'
    base_path = '/hosts'
    allow_list = True
    query_names = ('host', 'state')

    host: str = resource.Body('host', alternate_id=True)
    #: up or down: its agent.
    state: str = resource.Body('state')
    agent_version: str | None = resource.Body('agent_version')
    #: Grows with each change of its devices.
    generation: int = resource.Body('generation', type=int)
    last_report_at: str | None = resource.Body('last_report_at')
    #: How many devices it has.
    devices: int = resource.Body('devices', type=int)
    #: up, down or never: the resource tracker in its nova-compute.
    tracker_state: str = resource.Body('tracker_state')
    tracker_version: str | None = resource.Body('tracker_version')
    tracker_seen_at: str | None = resource.Body('tracker_seen_at')
