# SPDX-License-Identifier: Apache-2.0
"""Questions to Nova about servers, by the commands of this project.

What a command does never depends on the answer: without Nova, or without the
rights to ask it, something is not shown, and a log line says why.
"""

from collections.abc import Callable
import logging
from typing import Any
from typing import TypeVar

LOG = logging.getLogger(__name__)

_T = TypeVar('_T')


def ask(manager: Any, question: Callable[[Any], _T], default: _T) -> _T:
    """Ask Nova.

    :param manager: the ``client_manager`` of a command.
    :param question: gets openstacksdk's proxy of Nova. It may raise the SDK's
        errors.
    :param default: the answer if there is none.
    """
    # Commands that ask nothing save a second: both import the SDK.
    from keystoneauth1 import exceptions as ksa_exceptions
    from openstack import exceptions as sdk_exceptions

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
