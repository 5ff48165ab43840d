# SPDX-License-Identifier: Apache-2.0

"""Makes and removes the mediated devices of a simulated host.

The host's ``create`` and ``remove`` are named pipes, which a thread reads, so
that whoever writes a file of sysfs sees what a kernel would do. A pipe cannot
answer with an error: a request that the kernel would refuse changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import selectors
import shutil
import threading

from pci_passthrough.demo import inventory
from pci_passthrough.demo import mediated
from pci_passthrough.demo import tree as tree_module

_UUID_LENGTH = 64


class MdevKernel:
    """The thread of one host.

    :param host: its devices, which the thread changes.
    :param root: the host's ``/sys``, written before.
    """

    def __init__(self, host: inventory.Host, root: pathlib.Path) -> None:
        self._host = host
        self._root = root
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._wake, self._woken = os.pipe()

    def start(self) -> None:
        """Replace the files by pipes, and begin to serve them."""
        self._selector.register(self._wake, selectors.EVENT_READ)
        for device in self._host.devices.values():
            for kind in device.model.mediated_types:
                self._add_pipe(
                    f'{self._host.path(device.address)}/mdev_supported_types/'
                    f'{kind.name}/create',
                    (device, kind.name, ''),
                )
            for identifier in device.mediated:
                self._add_remove(device, identifier)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; the pipes stay."""
        os.write(self._woken, b'.')
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            os.close(int(key.fd))
        self._selector.close()
        os.close(self._woken)

    def _add_pipe(
        self, path: str, data: tuple[inventory.Device, str, str]
    ) -> None:
        place = self._root / path
        place.unlink(missing_ok=True)
        os.mkfifo(place)
        # Open for writing, too: then there is no end of file between writers.
        descriptor = os.open(place, os.O_RDWR | os.O_NONBLOCK)
        self._selector.register(descriptor, selectors.EVENT_READ, data)

    def _add_remove(self, device: inventory.Device, identifier: str) -> None:
        path = f'{self._host.path(device.address)}/{identifier}/remove'
        self._add_pipe(path, (device, '', identifier))

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                text = os.read(int(key.fd), _UUID_LENGTH).decode().strip()
                device, kind, identifier = key.data
                if identifier:
                    self._selector.unregister(key.fd)
                    os.close(int(key.fd))
                    self._remove(device, identifier)
                else:
                    with contextlib.suppress(OSError):
                        self._create(device, kind, text)

    def _create(
        self, device: inventory.Device, kind: str, identifier: str
    ) -> None:
        mediated.create(self._host, device, kind, identifier)
        tree = tree_module.Tree()
        mediated.add_counts(tree, self._host, device)
        mediated.add_device(tree, self._host, device, identifier)
        tree.write(self._root)
        self._add_remove(device, identifier)

    def _remove(self, device: inventory.Device, identifier: str) -> None:
        paths = mediated.paths_of(self._host, device, identifier)
        del device.mediated[identifier]
        tree = tree_module.Tree()
        mediated.add_counts(tree, self._host, device)
        tree.write(self._root)
        for path in paths:
            place = self._root / path
            if place.is_symlink():
                place.unlink()
            else:
                shutil.rmtree(place)
