# SPDX-License-Identifier: Apache-2.0
"""Sends requests, reports and refusals in versions that conductors know.

As a rule, conductors are upgraded before their callers. If some of them are
not upgraded yet, or are downgraded, hosts must stay up all the same.
"""

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any
from typing import ParamSpec
from typing import TypeVar

import oslo_messaging
from oslo_versionedobjects import base as ovo_base

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.rpc import methods

_P = ParamSpec('_P')
_R = TypeVar('_R')
_O = TypeVar('_O', bound=ovo_base.VersionedObject)


def method_for(
    method: methods.Method[_P, _R], requests: Iterable[objects.PciRequest]
) -> methods.Method[_P, _R]:
    """Return a method, with the version that some requests require of it."""
    if any(map(_is_for_nic, requests)):
        return method.requiring(methods.NICS)
    return method


def readable_requests(
    requests: Iterable[objects.PciRequest],
) -> list[objects.PciRequest]:
    """Return requests in the oldest version that can express each of them.

    A request for a NIC is never sent in version 1.0: a conductor that knows
    no NICs would ignore the NIC's network.
    """
    return [
        request if _is_for_nic(request) else _in_version_1_0(request)
        for request in requests
    ]


def send(
    call: Callable[[_O], _R], newest: _O, parts: dict[str, str] | None = None
) -> _R:
    """Call a method with an object, in version 1.0 if a newer one is refused.

    Each call is tried with the newest version first, because the next call
    may be answered by another conductor.

    :param parts: names of the objects in it, to the versions that conductors
        know that know its version 1.0.
    """
    try:
        return call(newest)
    except exception.ConductorUnavailable as error:
        if not _is_remote(error, 'IncompatibleObjectVersion'):
            raise
        return call(_in_version_1_0(newest, parts))


def answer_or(default: _R, call: Callable[[], _R]) -> _R:
    """Return the answer to a call, or a default if the conductor is older.

    :raises: ConductorUnavailable and the errors of the method.
    """
    return newer_or(lambda: default, call)


def newer_or(older: Callable[[], _R], newer: Callable[[], _R]) -> _R:
    """Make a call in a newer form, and in an older one if that is refused.

    :raises: ConductorUnavailable and the errors of the method.
    """
    try:
        return newer()
    except exception.ConductorUnavailable as error:
        if not _is_remote(error, 'UnsupportedVersion'):
            raise
        return older()


def with_project(
    call: Callable[..., _R],
    method: methods.Method[..., _R],
    is_known: bool,
    **project: Any,
) -> _R:
    """Call a method with the project of an instance.

    :param call: calls a method, with all other arguments.
    :param is_known: whether the project is known.
    :param project: the arguments about it. They are left out if it is not
        known, or if the conductor is of an earlier release: then nova-compute
        tells the project later.
    :raises: ConductorUnavailable and the errors of the method.
    """
    if not is_known:
        return call(method)
    return newer_or(
        lambda: call(method),
        lambda: call(method.requiring(methods.PROJECTS), **project),
    )


def _is_remote(error: exception.ConductorUnavailable, name: str) -> bool:
    """Whether an error is due to an exception of that name in a conductor."""
    cause = error.__cause__
    return (
        isinstance(cause, oslo_messaging.RemoteError)
        and cause.exc_type == name
    )


def _in_version_1_0(newest: _O, parts: dict[str, str] | None = None) -> _O:
    """Return the form in which an object is sent in version 1.0."""
    primitive: Any = newest.obj_to_primitive('1.0', parts)
    sent: _O = primitive
    return sent


def _is_for_nic(request: objects.PciRequest) -> bool:
    return request.get('nic') is not None
