# SPDX-License-Identifier: Apache-2.0
"""Converts errors of this project to those that Nova's API answers with.

Users get the text of errors that they can correct. All other errors are for
operators, in the log of the Nova process.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib

from oslo_log import log as logging

from pci_passthrough import exception
from pci_passthrough.nova_plugin.compat import errors

LOG = logging.getLogger(__name__)

#: Errors that the user can correct.
_USER_FAULTS = (
    exception.InvalidNic,
    exception.InvalidRequest,
    exception.PciFlavorNotFound,
)


class RequestRefused(errors.PciRequestAliasNotDefined):
    """The request asks for devices that it cannot get: HTTP 400."""

    msg_fmt = '%(reason)s'


class PciFlavorsUnavailable(errors.Unauthorized):
    """PCI flavors cannot be looked up: HTTP 503; the log has the reason."""

    msg_fmt = 'PCI flavors cannot be looked up now, try again later'
    code = 503
    safe = True


@contextlib.contextmanager
def refused_as(refusal: Callable[..., Exception]) -> Iterator[None]:
    """Raise errors of this project as errors of Nova's API.

    :param refusal: the exception class for errors that the user can correct;
        it takes a ``reason``.
    :raises PciFlavorsUnavailable: the user cannot correct the error.
    """
    try:
        yield
    except exception.PciPassthroughError as error:
        if isinstance(error, _USER_FAULTS):
            raise refusal(reason=error.text) from error
        _log(error)
        raise PciFlavorsUnavailable from error


def text_for_users(error: exception.PciPassthroughError) -> str:
    """Return the part of an error that a project may read."""
    if isinstance(error, _USER_FAULTS):
        return error.text
    _log(error)
    return 'PCI flavors cannot be looked up now'


def _log(error: exception.PciPassthroughError) -> None:
    LOG.error('Could not look up PCI flavors: %s', error.text)
