# SPDX-License-Identifier: Apache-2.0
"""PCI flavors."""

from openstack import resource

from pci_passthrough.sdk import base


class PciFlavor(base.Resource):
    """A name for devices that users can request."""

    resources_key = 'pci_flavors'
    base_path = '/pci-flavors'
    allow_list = True
    query_names = (
        'name', 'state', 'is_public', 'vnic_type', 'project_id',
        'origin', 'availability', 'sort',
    )  # fmt: skip

    uuid: str = resource.Body('uuid', alternate_id=True)
    #: The name that requests use.
    name: str = resource.Body('name')
    #: A text for users.
    description: str | None = resource.Body('description')
    #: Alternatives: a device must fulfil all conditions of one of them.
    match: list[dict[str, object]] = resource.Body('match', type=list)
    #: For NICs: direct, macvtap, direct-physical or vdpa.
    vnic_type: str | None = resource.Body('vnic_type')
    #: legacy, preferred, required or socket.
    numa_policy: str | None = resource.Body('numa_policy')
    #: Whether all projects may use it.
    is_public: bool = resource.Body('is_public', type=bool)
    #: active, deprecated or disabled.
    state: str = resource.Body('state')
    #: Grows with each change.
    generation: int = resource.Body('generation', type=int)
    created_at: str | None = resource.Body('created_at')
    updated_at: str | None = resource.Body('updated_at')
    #: The owner; for those who may see it.
    project_id: str | None = resource.Body('project_id')
    #: The projects it is shared with; for those who may see them.
    access: list[str] | None = resource.Body('access', type=list)
    #: built-in or group, None if a person made it; for those who may see it.
    origin: str | None = resource.Body('origin')
    #: Conditions on host aggregates; for those who may see them.
    aggregate_metadata: dict[str, object] | None = resource.Body(
        'aggregate_metadata', type=dict
    )
    #: none, low or ok; in lists with ``availability=True``.
    availability: str | None = resource.Body('availability')
    #: What is probably not meant: ``code`` and ``text``; not in lists.
    warnings: list[dict[str, str]] | None = resource.Body(
        'warnings', type=list
    )
    #: Names the state that was read; not in lists.
    etag: str | None = resource.Header('ETag')
