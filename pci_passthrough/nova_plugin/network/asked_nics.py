# SPDX-License-Identifier: Apache-2.0
"""Carries the PCI flavors of NICs from a request's body to ``nics``.

The paste filter reads them in the body, and ``nics`` needs them where Nova
makes PCI requests. For a new server that is in the same thread of nova-api.
nova-compute attaches an interface, so the PCI flavors of an interface travel
there with Nova's request context.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import functools
import threading
from typing import Any

#: The beginning of a port's tag; the PCI flavor's name or UUID follows.
TAG = 'pci-flavor='

#: Attribute of a request context, and key of its serialized form.
_KEY = 'pci_passthrough_nics'


class AskedNics:
    """The PCI flavors of one request's NICs, and warnings for the user.

    :param names: index in the list of networks to a PCI flavor's name.
    :ivar warnings: values of the answer's header ``Warning``.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self.names = dict(names)
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        """Add a warning to the answer.

        :param text: ASCII, without quotation marks and backslashes.
        """
        # 299: a miscellaneous persistent warning, RFC 7234, 5.5.7.
        self.warnings.append(f'299 pci-passthrough "{text}"')


class _Thread(threading.local):
    asked: AskedNics | None = None


_thread = _Thread()


@contextlib.contextmanager
def in_thread(asked: AskedNics) -> Iterator[None]:
    """Make a request the current one of this thread."""
    before = _thread.asked
    _thread.asked = asked
    try:
        yield
    finally:
        _thread.asked = before


def current() -> AskedNics | None:
    """Return the PCI flavors of the request in this thread of nova-api.

    :returns: None in other processes and threads.
    """
    return _thread.asked


def names_in(context: Any) -> dict[int, str]:
    """Return the PCI flavors of NICs, by index in the list of networks.

    :param context: Nova's request context. Without PCI flavors in it, those
        of this thread's request are returned.
    """
    names: dict[int, str] | None = getattr(context, _KEY, None)
    if names is not None:
        return names
    return {} if _thread.asked is None else _thread.asked.names


def send_with(context: Any) -> None:
    """Send the PCI flavors of this thread's request with a context."""
    if _thread.asked is not None and _thread.asked.names:
        setattr(context, _KEY, _thread.asked.names)


def wrap_to_dict(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Replace ``nova.context.RequestContext.to_dict``.

    Every RPC message of Nova has a context serialized by it. The replacement
    adds the PCI flavors of NICs, if there are any.
    """

    @functools.wraps(original)
    def to_dict(context: Any) -> Any:
        values = original(context)
        names = getattr(context, _KEY, None)
        if names is not None:
            # Keys of JSON are strings.
            values[_KEY] = sorted(names.items())
        return values

    return to_dict


def wrap_from_dict(
    original: Callable[[Any, Any], Any],
) -> Callable[[Any, Any], Any]:
    """Replace the class method ``nova.context.RequestContext.from_dict``.

    Nova calls it for the context of each RPC message. The replacement reads
    the PCI flavors of NICs, if there are any.
    """

    @functools.wraps(original)
    def from_dict(cls: Any, values: Any) -> Any:
        context = original(cls, values)
        names = values.get(_KEY)
        if names is not None:
            setattr(context, _KEY, dict(names))
        return context

    return from_dict
