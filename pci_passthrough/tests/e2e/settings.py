# SPDX-License-Identifier: Apache-2.0
"""The configuration files of the cloud.

The files contain only options whose default does not work here. The options
that load the Nova plugin are not here: the files of ``etc/nova`` are used
unchanged. This project's API uses its example files with other addresses and
passwords.
"""

from collections.abc import Mapping
import dataclasses
import json
import pathlib
import sys
from typing import Any
from typing import Final

from pci_passthrough.tests.functional import servers

#: Section to option to value; a list means a repeated option.
Sections = Mapping[str, Mapping[str, Any]]

REGION: Final = 'RegionOne'

_VENV: Final = pathlib.Path(sys.prefix)


@dataclasses.dataclass(frozen=True)
class Nic:
    """One SR-IOV card of each host, for the configuration of agents."""

    vendor_id: str
    interface: str
    physical_network: str
    group: str


#: A list of the operator, who has not heard of this project.
FILTERS: Final = {
    'enabled_filters': 'AggregateMultiTenancyIsolation,ComputeFilter,'
    'ComputeCapabilitiesFilter,ImagePropertiesFilter,'
    'ServerGroupAntiAffinityFilter,ServerGroupAffinityFilter,'
    'NUMATopologyFilter,PciPassthroughFilter',
}

NICS: Final = (
    Nic('8086', 'ens1f0', 'physnet1', 'nic'),
    Nic('15b3', 'ens2f0', 'physnet2', '10g'),
)


@dataclasses.dataclass(frozen=True)
class Site:
    """The addresses and credentials of all services.

    ``ports`` are by service, ``databases`` are URLs by database.
    """

    folder: pathlib.Path
    password: str
    transport_url: str
    ports: Mapping[str, int]
    databases: Mapping[str, str]

    def url(self, service: str) -> str:
        """Return the URL of a service."""
        path = {'keystone': '/v3', 'nova': '/v2.1'}.get(service, '')
        return f'http://{servers.LOOPBACK}:{self.ports[service]}{path}'

    def credentials(self, user: str) -> dict[str, Any]:
        """Return the options with a service's credentials for another one."""
        return {
            'auth_type': 'password',
            'auth_url': self.url('keystone'),
            'username': user,
            'password': self.password,
            'project_name': 'service',
            'user_domain_name': 'Default',
            'project_domain_name': 'Default',
            'region_name': REGION,
        }

    def middleware(self, user: str) -> dict[str, Any]:
        """Return the options with which a service checks tokens."""
        return self.credentials(user) | {
            'www_authenticate_uri': self.url('keystone'),
            'service_token_roles': 'service',
            'service_token_roles_required': True,
        }

    def database(self, name: str) -> dict[str, Any]:
        """Return the options with a service's database."""
        return {'connection': self.databases[name], 'max_pool_size': 10}


def write(path: pathlib.Path, sections: Sections) -> pathlib.Path:
    """Write a configuration file and return its path."""
    lines = []
    for section, options in sections.items():
        lines.append(f'[{section}]')
        for option, value in options.items():
            values = value if isinstance(value, list) else [value]
            lines += [f'{option} = {value}' for value in values]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(lines) + '\n')
    return path


def adapt(
    example: pathlib.Path, path: pathlib.Path, changes: Sections
) -> None:
    """Copy an example file with other values for some options.

    Options that are commented out in the example can be set, too.

    :raises LookupError: the example does not have one of the options.
    """
    left = {
        (section, option): value
        for section, options in changes.items()
        for option, value in options.items()
    }
    section, lines = '', []
    for line in example.read_text().splitlines():
        if line.startswith('['):
            section = line.strip('[]')
        key = (section, line.lstrip('#').partition(' = ')[0])
        if key in left:
            line = f'{key[1]} = {left.pop(key)}'
        lines.append(line)
    if left:
        raise LookupError(f'{example} does not have {list(left)}')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(lines) + '\n')


def uwsgi(site: Site, service: str, module: str) -> Sections:
    """One API, served by uWSGI in a process with several threads."""
    return {
        'uwsgi': {
            'http-socket': f'{servers.LOOPBACK}:{site.ports[service]}',
            'module': module,
            'virtualenv': _VENV,
            'master': True,
            'processes': 1,
            'threads': 6,
            'enable-threads': True,
            'lazy-apps': True,
            'die-on-term': True,
            'need-app': True,
            'buffer-size': 65535,
            # For the chunks of 1 MiB in which Nova uploads snapshots.
            'chunked-input-limit': 2 << 20,
            'add-header': 'Connection: close',
            # Neutron's API identifies its workers by it.
            'start-time': '%t',
            'pyargv': '',
        }
    }


def keystone(site: Site) -> Sections:
    """``keystone.conf``."""
    keys = site.folder / 'etc/keystone'
    return {
        'database': site.database('keystone'),
        # Tests need no expensive password hash.
        'identity': {'password_hash_rounds': 4},
        'fernet_tokens': {'key_repository': keys / 'fernet-keys'},
        'credential': {'key_repository': keys / 'credential-keys'},
        # Without caching each check of a token takes half a second.
        'cache': {'enabled': True, 'backend': 'dogpile.cache.memory'},
    }


def placement(site: Site) -> Sections:
    """``placement.conf``."""
    return {
        'placement_database': site.database('placement'),
        'keystone_authtoken': site.middleware('placement'),
    }


def glance(site: Site) -> Sections:
    """``glance-api.conf``."""
    state = site.folder / 'glance'
    return {
        'DEFAULT': {
            'enabled_backends': 'file:file',
            'worker_self_reference_url': site.url('glance'),
        },
        'database': site.database('glance'),
        'glance_store': {'default_backend': 'file'},
        'file': {'filesystem_store_datadir': state / 'images'},
        'os_glance_staging_store': {
            'filesystem_store_datadir': state / 'staging'
        },
        'os_glance_tasks_store': {'filesystem_store_datadir': state / 'tasks'},
        'paste_deploy': {
            'flavor': 'keystone',
            'config_file': _VENV / 'etc/glance/glance-api-paste.ini',
        },
        'oslo_concurrency': {'lock_path': state},
        'keystone_authtoken': site.middleware('glance'),
    }


def neutron(site: Site) -> Sections:
    """``neutron.conf``, with the options of its ML2 plugin."""
    return {
        'DEFAULT': {
            'core_plugin': 'ml2',
            'service_plugins': '',
            'transport_url': site.transport_url,
            'state_path': site.folder / 'neutron',
            'api_paste_config': _VENV / 'etc/neutron/api-paste.ini',
            'rpc_workers': 1,
            'rpc_state_report_workers': 0,
        },
        'database': site.database('neutron'),
        'oslo_concurrency': {'lock_path': site.folder / 'neutron'},
        'keystone_authtoken': site.middleware('neutron'),
        'nova': site.credentials('nova'),
        'placement': site.credentials('placement'),
        'ml2': {
            'type_drivers': 'flat,vlan',
            'project_network_types': 'vlan',
            'mechanism_drivers': 'sriovnicswitch',
        },
        'ml2_type_vlan': {
            'network_vlan_ranges': 'physnet1:100:199,physnet2:200:299'
        },
    }


def neutron_nic_agent(site: Site, host: str) -> Sections:
    """The configuration of a host's ``neutron-sriov-nic-agent``."""
    mappings = ','.join(
        f'{nic.physical_network}:{nic.interface}' for nic in NICS
    )
    return {
        'DEFAULT': {
            'host': host,
            'transport_url': site.transport_url,
            'state_path': site.folder / 'neutron',
        },
        'agent': {'polling_interval': 1, 'report_interval': 10},
        'oslo_concurrency': {'lock_path': site.folder / f'neutron/{host}'},
        'sriov_nic': {'physical_device_mappings': mappings},
    }


def nova(site: Site) -> dict[str, Mapping[str, Any]]:
    """Return the options that all of Nova's processes have in common."""
    return {
        'DEFAULT': {
            'my_ip': servers.LOOPBACK,
            'transport_url': site.transport_url,
            'state_path': site.folder / 'nova',
            'log_date_format': '%H:%M:%S',
            'debug': True,
            'log_options': False,
            # Debug lines of these modules only, which show the decisions.
            'default_log_levels': ','.join(
                f'{name}=WARN'
                for name in (
                    'amqp', 'cotyledon', 'keystoneauth', 'keystonemiddleware',
                    'oslo_concurrency', 'oslo_db', 'oslo_messaging',
                    'oslo_policy', 'oslo_service', 'os_brick', 'os_vif',
                    'sqlalchemy', 'stevedore', 'urllib3', 'vif_plug_ovs',
                )
            ),
            'report_interval': 5,
            'service_down_time': 600,
            'reserved_host_memory_mb': 0,
            # Failed registrations are repeated with each update.
            'update_resources_interval': 15,
        },
        'oslo_concurrency': {'lock_path': site.folder / 'nova/lock'},
        'cache': {'enabled': False},
        'quota': {'driver': 'nova.quota.NoopQuotaDriver'},
        'vnc': {'enabled': False},
        'glance': {'api_servers': site.url('glance')},
        'keystone_authtoken': site.middleware('nova'),
        'neutron': site.credentials('neutron'),
        'placement': site.credentials('placement'),
        'service_user': site.credentials('nova')
        | {'send_service_user_token': True},
    }  # fmt: skip


def nova_controller(site: Site, host: str) -> Sections:
    """``nova.conf`` of a process with database access."""
    sections = nova(site)
    return sections | {
        'DEFAULT': {**sections['DEFAULT'], 'host': host},
        'api_database': site.database('nova_api'),
        'database': site.database('nova_cell1'),
        'conductor': {'workers': 1},
        'scheduler': {'workers': 1},
        'filter_scheduler': FILTERS,
    }


def nova_compute(site: Site, host: str, libvirt_uri: str) -> Sections:
    """``nova.conf`` of a compute host, without database access."""
    sections = nova(site)
    # Shared between the hosts, as with NFS, so that migrations copy no
    # files and need no ssh.
    instances = site.folder / 'nova/instances'
    helper = f'{_VENV}/bin/privsep-helper'
    own = {
        'host': host,
        'state_path': site.folder / f'nova/{host}',
        'instances_path': instances,
        'compute_driver': 'libvirt.LibvirtDriver',
        'initial_cpu_allocation_ratio': 16,
        # No guest has an operating system that could shut down.
        'shutdown_timeout': 1,
        'vif_plugging_timeout': 300,
    }
    return sections | {
        'DEFAULT': {**sections['DEFAULT'], **own},
        'oslo_concurrency': {'lock_path': site.folder / f'nova/{host}/lock'},
        'libvirt': {
            'connection_uri': libvirt_uri,
            'virt_type': 'qemu',
            'cpu_mode': 'none',
            'images_type': 'raw',
        },
        'pci_passthrough': {'verdict_dir': _verdict_dir(site, host)},
        'nova_sys_admin': {'helper_command': helper},
        'vif_plug_ovs_privileged': {'helper_command': helper},
        'vif_plug_linux_bridge_privileged': {'helper_command': helper},
        'privsep_osbrick': {'helper_command': helper},
    }


def _verdict_dir(site: Site, host: str) -> pathlib.Path:
    return site.folder / f'nova/{host}/verdicts'


def pci_passthrough_conductor(site: Site) -> Sections:
    """The configuration of ``pci-passthrough-conductor``."""
    return {
        'DEFAULT': {
            'host': 'controller',
            'transport_url': site.transport_url,
        },
        'database': {'connection': site.databases['pci_passthrough']},
        'conductor': {
            'host_timeout': 600,
            'tracker_timeout': 600,
            'limits_remembered': 0,
        },
        'oslo_limit': {
            'auth_type': 'password',
            'auth_url': site.url('keystone'),
            'username': 'pci-passthrough',
            'user_domain_id': 'default',
            'password': site.password,
            'system_scope': 'all',
            'endpoint_service_type': 'pci-passthrough',
            'endpoint_region_name': REGION,
        },
        # Aggregates and the servers of all projects are for administrators.
        'nova': site.credentials('nova'),
    }


def pci_passthrough_api(site: Site) -> Sections:
    """Return the values that differ from the example ``api.conf``."""
    return {
        'DEFAULT': {'transport_url': site.transport_url},
        'database': {'connection': site.databases['pci_passthrough_reader']},
        'keystone_authtoken': {
            'auth_url': site.url('keystone'),
            'www_authenticate_uri': site.url('keystone'),
            'password': site.password,
        },
        'conductor': {'host_timeout': 600, 'tracker_timeout': 600},
        # Some tests wait until the timeout ends.
        'api': {'rpc_timeout': 10},
    }


def pci_passthrough_uwsgi(site: Site, config: pathlib.Path) -> Sections:
    """Return the values that differ from the example ``api-uwsgi.ini``."""
    port = site.ports['pci-passthrough']
    return {
        'uwsgi': {
            'http-socket': f'{servers.LOOPBACK}:{port}',
            'env': f'OS_PCI_PASSTHROUGH_CONFIG_FILES={config}',
            'virtualenv': _VENV,
        }
    }


def pci_passthrough_agent(
    site: Site, host: str, libvirt_uri: str, host_root: str
) -> Sections:
    """The configuration of a host's ``pci-passthrough-agent``.

    The GPUs have a file of their own.
    """
    disks = {'match': {'class': '0108'}, 'extra_info': {'group': 'scratch'}}
    nics = [
        {
            'match': {'class': 'network', 'vendor_id': nic.vendor_id},
            'extra_info': {
                'group': nic.group,
                'physical_network': nic.physical_network,
            },
        }
        for nic in NICS
    ]
    # It is offered in slices only.
    vgpu_cards = {
        'match': {'vendor_id': '10de', 'product_id': '25b6'},
        'exclude': True,
    }
    vgpus = {
        'match': {'resource_type': 'mdev', 'product_id': '25b6'},
        'type': 'nvidia-558',
        'count': 2,
        'handler': 'mdev',
    }
    tokens = {
        'match': {'resource_type': 'usb', 'vendor_id': '1050'},
        'type': 'token',
    }
    entries = (disks, *nics, vgpu_cards, vgpus, tokens)
    return {
        'DEFAULT': {'host': host, 'transport_url': site.transport_url},
        'agent': {
            'pci_information': list(map(json.dumps, entries)),
            'connection_uri': libvirt_uri,
            'host_root': host_root,
            'verdict_dir': _verdict_dir(site, host),
            'report_interval': 5,
            'default_handlers': False,
        },
    }


def pci_information_of_gpus() -> Sections:
    """Return the PCI information of a host's GPUs."""
    gpus = {'match': {'class': 'display'}, 'extra_info': {'group': 'gpu'}}
    return {'agent': {'pci_information': json.dumps(gpus)}}
