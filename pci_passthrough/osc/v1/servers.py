# SPDX-License-Identifier: Apache-2.0
"""Questions to Nova about servers, by the commands of this project.

What ``ask`` asks for is only shown: without Nova, or without the rights to ask
it, something is left out, and a log line says why. ``uuid_of`` raises.
"""

from collections.abc import Callable
import logging
from typing import Any
from typing import TypeVar
import uuid

from keystoneauth1 import exceptions as ksa_exceptions
from openstack import exceptions as sdk_exceptions

from pci_passthrough.osc import errors

LOG = logging.getLogger(__name__)

_T = TypeVar('_T')


def ask(manager: Any, question: Callable[[Any], _T], default: _T) -> _T:
    """Ask Nova.

    :param manager: the ``client_manager`` of a command.
    :param question: gets openstacksdk's proxy of Nova. It may raise the SDK's
        errors.
    :param default: the answer if there is none.
    """
    try:
        compute = manager.sdk_connection.compute
        # Without a version of Nova's API that it knows, the SDK has no calls.
        if not hasattr(compute, 'get_server'):
            LOG.info('Nova was not asked: there is none')
            return default
        return question(compute)
    except (
        sdk_exceptions.SDKException,
        ksa_exceptions.ClientException,
    ) as error:
        LOG.info('Nova was asked in vain: %s', error)
        return default


def uuid_of(manager: Any, server: str) -> str:
    """Return the UUID of a server.

    :param manager: the ``client_manager`` of a command.
    :param server: name or UUID. Only for a name Nova is asked.
    :raises ClientError: Nova has no such server, or several, or does not
        answer.
    """
    try:
        return str(uuid.UUID(server))
    except ValueError:
        pass
    try:
        found = manager.sdk_connection.compute.find_server(
            server, ignore_missing=False, all_projects=True
        )
    except (
        sdk_exceptions.SDKException,
        ksa_exceptions.ClientException,
    ) as error:
        raise errors.ClientError(
            f'Nova does not know a server {server!r}: {error}; a UUID is not '
            'looked up'
        ) from error
    return str(found.id)
