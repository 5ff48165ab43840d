# SPDX-License-Identifier: Apache-2.0
"""Options of the group ``[nova]``: how to ask Nova for aggregates and servers.

They are keystoneauth1's. ``list_opts`` has those that operators need, with
help texts of this project.
"""

import copy

from keystoneauth1 import loading
from oslo_config import cfg

GROUP = 'nova'

#: Seconds to wait for Nova, else a claim could wait forever. Twice as many,
#: for Keystone and Nova, are less than nova-compute waits for a claim.
_TIMEOUT = 4.0

_HELP = {
    'auth_type': """
How the conductor and the REST API authenticate to ask Nova for its host
aggregates, for example ``password``.

They only ask for PCI flavors with ``aggregate_metadata``. Without a value such
PCI flavors cannot be made, and those that exist serve nobody. Which further
options the group has depends on the value. For ``password``::

    [nova]
    auth_type = password
    auth_url = https://controller:5000
    username = pci-passthrough
    password = secret
    user_domain_name = Default
    project_name = service
    project_domain_name = Default

The user needs Nova's policy ``os_compute_api:os-aggregates:index``, by default
the role admin. The same options are needed in the configuration of the
conductors and in that of the REST API.

The audit asks for the servers of all projects with them. It needs the policies
``os_compute_api:servers:detail:get_all_tenants``,
``os_compute_api:servers:show``,
``os_compute_api:os-extended-server-attributes`` and
``os_compute_api:os-flavor-extra-specs:index``.
""",
    'timeout': """
Seconds to wait for an answer of Nova, and before that of Keystone.

While Nova does not answer in time, claims by PCI flavors with
``aggregate_metadata`` are refused. Twice the value must be lower than
``[pci_passthrough] rpc_timeout`` of nova.conf, by default 10: otherwise
nova-compute gives up before, and its log has no reason.
""",
    'region_name': """
The region of Nova in Keystone's catalogue, for example ``RegionOne``.

It is needed only if the catalogue has several regions. With that of another
region, no host is in the wanted aggregates: claims by PCI flavors with
``aggregate_metadata`` are refused.
""",
    'valid_interfaces': """
The interfaces of Nova's endpoint in Keystone's catalogue, the preferred one
first, for example ``internal,public``.

If the hosts of the conductors cannot reach the endpoint, each claim by a PCI
flavor with ``aggregate_metadata`` waits for ``timeout`` and is refused.
""",
    'cafile': """
The file with the certificates of the authorities that Keystone and Nova are
trusted by, for example ``/etc/ssl/certs/ca-certificates.crt``.

With a wrong file, no connection by TLS is possible: claims by PCI flavors with
``aggregate_metadata`` are refused.
""",
}


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options; those of ``auth_type`` when they are loaded."""
    loading.register_auth_conf_options(conf, GROUP)
    loading.register_session_conf_options(conf, GROUP)
    loading.register_adapter_conf_options(conf, GROUP)
    conf.set_default('timeout', _TIMEOUT, group=GROUP)
    conf.set_default('service_type', 'compute', group=GROUP)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options that most operators need, by group."""
    opts = []
    for opt in (
        *loading.get_auth_common_conf_options(),
        *loading.get_session_conf_options(),
        *loading.get_adapter_conf_options(include_deprecated=False),
    ):
        if opt.name.replace('-', '_') in _HELP:
            explained = copy.copy(opt)
            explained.help = _HELP[opt.name.replace('-', '_')]
            if opt.name == 'timeout':
                explained.default = _TIMEOUT
            opts.append(explained)
    return [(GROUP, opts)]
