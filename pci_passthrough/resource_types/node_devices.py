# SPDX-License-Identifier: Apache-2.0
"""Finds libvirt's node devices of one capability. Pure.

https://libvirt.org/formatnode.html describes the XML.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
from xml.etree import ElementTree


@dataclasses.dataclass(frozen=True, slots=True)
class NodeDevice:
    """A node device, and its element of one capability."""

    name: str
    #: name of the node device that it is below
    parent: str
    #: its directory in sysfs, empty if libvirt does not tell
    path: str
    capability: ElementTree.Element


def with_capability(
    documents: Iterable[str], kind: str
) -> Iterator[NodeDevice]:
    """Yield the node devices with a capability; leave out malformed XML.

    :param kind: for example ``usb_device``.
    """
    for document in documents:
        if kind not in document:
            continue
        try:
            # Trusted: the local libvirtd, which runs as root, wrote it.
            element = ElementTree.fromstring(document)  # noqa: S314
        except ElementTree.ParseError:
            continue
        for capability in element.iterfind('capability'):
            if capability.get('type') == kind:
                yield NodeDevice(
                    name=element.findtext('name') or '',
                    parent=element.findtext('parent') or '',
                    path=element.findtext('path') or '',
                    capability=capability,
                )
