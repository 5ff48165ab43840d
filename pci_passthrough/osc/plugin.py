# SPDX-License-Identifier: Apache-2.0
"""How the ``openstack`` command finds the client and its version.

The names in here are osc-lib's, see ``Plugins`` in its documentation.
"""

import argparse
from typing import TYPE_CHECKING

from keystoneauth1 import adapter
from osc_lib import exceptions
from osc_lib import utils

from pci_passthrough.osc import client
from pci_passthrough.osc import errors
from pci_passthrough.osc import microversion

if TYPE_CHECKING:
    from osc_lib import clientmanager

API_NAME = 'pci_passthrough'
API_VERSION_OPTION = 'os_pci_passthrough_api_version'
#: Of any microversion: which one is settled with the service.
DEFAULT_API_VERSION = '1'


def make_client(instance: 'clientmanager.ClientManager') -> client.Client:
    """Return what commands find as ``client_manager.pci_passthrough``."""
    override = instance.get_configuration().get(
        'pci_passthrough_endpoint_override'
    )
    return client.Client(
        adapter.Adapter(
            instance.session,
            service_type=client.SERVICE_TYPE,
            interface=instance.interface,
            region_name=instance.region_name,
            endpoint_override=override,
        ),
        microversion.parse(instance._api_version[API_NAME]),
    )


def check_api_version(version: str) -> bool:
    """Refuse what names no version, wherever it was configured.

    :returns: True, for osc-lib to look no further.
    :raises osc_lib.exceptions.CommandError: with an example of a right one.
    """
    try:
        parsed = microversion.parse(version)
    except errors.VersionUnsupported as error:
        raise exceptions.CommandError(str(error)) from error
    if not version.startswith(DEFAULT_API_VERSION):
        # By its first digit osc-lib finds the commands; the option is
        # translated in time, clouds.yaml is not.
        raise exceptions.CommandError(
            f'write pci_passthrough_api_version: {parsed!r} instead of '
            f'{version!r} in clouds.yaml'
        )
    return True


def _version(text: str) -> str:
    """Turn ``--os-pci-passthrough-api-version`` into what osc-lib takes."""
    try:
        return microversion.parse(text) if text else text
    except errors.VersionUnsupported as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def build_option_parser(
    parser: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    """Add the option of the version to those of ``openstack``."""
    parser.add_argument(
        '--os-pci-passthrough-api-version',
        metavar='<pci-passthrough-api-version>',
        type=_version,
        default=utils.env('OS_PCI_PASSTHROUGH_API_VERSION'),
        help='PCI passthrough API version, for example 1.0; latest, which is '
        'the default, is the newest that both the service and this client '
        'know (Env: OS_PCI_PASSTHROUGH_API_VERSION)',
    )
    return parser
