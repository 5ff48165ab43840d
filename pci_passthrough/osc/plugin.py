# SPDX-License-Identifier: Apache-2.0
"""Plugin of the ``openstack`` command: adds the service to its connection.

osc-lib looks for the names in this module, see ``Plugins`` in its
documentation.
"""

import argparse
from typing import TYPE_CHECKING

from openstack import exceptions as sdk_exceptions
from osc_lib import exceptions
from osc_lib import utils

from pci_passthrough import sdk
from pci_passthrough.sdk import proxy
from pci_passthrough.sdk import versions

if TYPE_CHECKING:
    from osc_lib import clientmanager

API_NAME = 'pci_passthrough'
API_VERSION_OPTION = 'os_pci_passthrough_api_version'
#: Major version. The microversion is negotiated with the service.
DEFAULT_API_VERSION = '1'

_NEWEST = '1.latest'


def make_client(instance: 'clientmanager.ClientManager') -> proxy.Proxy:
    """Return the proxy for ``client_manager.pci_passthrough``."""
    return sdk.service_of(instance.sdk_connection)


def check_api_version(version: str) -> bool:
    """Check the configured version, from an option or from clouds.yaml.

    :returns: True, so that osc-lib does not check the version itself.
    :raises osc_lib.exceptions.CommandError: with an example of a valid
        version.
    """
    try:
        parsed = _normalized(version)
    except sdk_exceptions.NotSupported as error:
        raise exceptions.CommandError(str(error)) from error
    if not version.startswith(DEFAULT_API_VERSION):
        # osc-lib finds the commands by the first digit. _version normalizes
        # the option early enough; nothing normalizes clouds.yaml.
        raise exceptions.CommandError(
            f'write pci_passthrough_api_version: {parsed!r} instead of '
            f'{version!r} in clouds.yaml'
        )
    return True


def _normalized(version: str) -> str:
    return versions.parse(version) or _NEWEST


def _version(text: str) -> str:
    """Normalize ``--os-pci-passthrough-api-version`` for osc-lib."""
    try:
        return _normalized(text) if text else text
    except sdk_exceptions.NotSupported as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def build_option_parser(
    parser: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    """Add the option of the version to ``openstack``."""
    parser.add_argument(
        '--os-pci-passthrough-api-version',
        metavar='<pci-passthrough-api-version>',
        type=_version,
        default=utils.env('OS_PCI_PASSTHROUGH_API_VERSION'),
        help='PCI passthrough API version, for example 1.0; latest, the '
        'default, means the newest version that both the service and this '
        'client know (Env: OS_PCI_PASSTHROUGH_API_VERSION)',
    )
    return parser
