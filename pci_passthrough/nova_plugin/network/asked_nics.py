# SPDX-License-Identifier: Apache-2.0
"""What a request to Nova's API asks for its NICs, on its way through Nova.

The paste filter finds it in the body, and ``nics`` needs it where Nova makes
its PCI requests. For a new server that is in the same thread of nova-api. An
interface is attached by nova-compute: there it comes with Nova's request
context.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import functools
import threading
from typing import Any

#: Begins a port's tag; the PCI flavor's name, or its UUID, is the rest.
TAG = 'pci-flavor='

#: Of a request context, and in what travels of it.
_KEY = 'pci_passthrough_nics'


class AskedNics:
    """The PCI flavors of one request's NICs, and what its user is told.

    :param names: place in the list of networks to a PCI flavor's name.
    :ivar warnings: values of the answer's header ``Warning``.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self.names = dict(names)
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        """Tell the user something.

        :param text: ASCII, without quotation marks and backslashes.
        """
        # 299: a miscellaneous persistent warning, RFC 7234, 5.5.7.
        self.warnings.append(f'299 pci-passthrough "{text}"')


class _Thread(threading.local):
    asked: AskedNics | None = None


_thread = _Thread()


@contextlib.contextmanager
def in_thread(asked: AskedNics) -> Iterator[None]:
    """Have this thread work on a request."""
    before = _thread.asked
    _thread.asked = asked
    try:
        yield
    finally:
        _thread.asked = before


def current() -> AskedNics | None:
    """Return what is asked by the request to nova-api of this thread.

    :returns: None elsewhere.
    """
    return _thread.asked


def names_in(context: Any) -> dict[int, str]:
    """Return what was asked for NICs, by place in the list of networks.

    :param context: Nova's request context; what came with it counts, and
        else this thread's request.
    """
    found: dict[int, str] | None = getattr(context, _KEY, None)
    if found is not None:
        return found
    return {} if _thread.asked is None else _thread.asked.names


def send_with(context: Any) -> None:
    """Let what is asked travel with a request context."""
    if _thread.asked is not None and _thread.asked.names:
        setattr(context, _KEY, _thread.asked.names)


def wrap_to_dict(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Add it to what travels of ``nova.context.RequestContext``."""

    @functools.wraps(original)
    def to_dict(context: Any) -> Any:
        values = original(context)
        names = getattr(context, _KEY, None)
        if names is not None:
            # Keys of JSON are strings.
            values[_KEY] = sorted(names.items())
        return values

    return to_dict


def wrap_from_dict(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Find it again where the context arrives."""

    @functools.wraps(original)
    def from_dict(values: Any) -> Any:
        context = original(values)
        names = values.get(_KEY)
        if names is not None:
            setattr(context, _KEY, dict(names))
        return context

    return from_dict
