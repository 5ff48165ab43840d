# SPDX-License-Identifier: Apache-2.0
"""A simulated host whose devices handlers may touch."""

import os
import pathlib
from typing import Any

import fixtures
import testtools

from pci_passthrough import handlers
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.handlers import device_lock
from pci_passthrough.handlers import driver_binding
from pci_passthrough.handlers import function_files
from pci_passthrough.handlers import privileged
from pci_passthrough.handlers.privileged import attributes


class HandlerTest(testtools.TestCase):
    """A test with one host; privileged functions run in this process."""

    SHAPE: dict[str, Any] = {}

    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.model = inventory.build_host(
            inventory.HostShape(
                'compute-1',
                **{'nics': 1, 'gpus': 1, 'consumer_gpus': 0, **self.SHAPE},
            )
        )
        self.root = testdriver.write_host(self.model, self.folder).host_root
        self.addCleanup(device_lock.release_all)
        privileged.set_root(str(self.root))
        for context in privileged.CONTEXTS.values():
            context.set_client_mode(False)
            self.addCleanup(context.set_client_mode, True)
        # What a daemon renounces, this process and all later tests would.
        self.useFixture(
            fixtures.MonkeyPatch(
                'pci_passthrough.handlers.privileged.nvme_admin.'
                'gain_nothing_by_exec',
                lambda: None,
            )
        )
        self.host = handlers.Host(str(self.root))
        self.progress: list[tuple[int | None, str]] = []

    def report(self, percent: int | None, text: str) -> None:
        """Keep the progress of a handler."""
        self.progress.append((percent, text))

    def address(self, class_prefix: str, *, is_vf: bool = False) -> str:
        """Return the first device of a class."""
        return next(
            address
            for address, device in sorted(self.model.devices.items())
            if f'{device.model.class_code:06x}'.startswith(class_prefix)
            and (device.physical_function is not None) == is_vf
        )

    def device(self, address: str) -> handlers.Device:
        """Return the facts about a device."""
        device = self.model.devices[address]
        kind = 'type-PF' if device.total_vfs else 'type-PCI'
        return handlers.Device(
            vendor_id=f'{device.model.vendor_id:04x}',
            product_id=f'{device.model.product_id:04x}',
            address=address,
            pci_class=f'{device.model.class_code:06x}',
            dev_type='type-VF' if device.physical_function else kind,
            parent_addr=device.physical_function,
            driver=device.driver,
            iommu_group=device.iommu_group,
            extra_info={'group': 'a'},
        )

    def files(self, address: str) -> function_files.FunctionFiles:
        """Return the files of a function."""
        return function_files.FunctionFiles(str(self.root), address)

    def place(self, address: str, name: str) -> pathlib.Path:
        """Return the path of a file of a function."""
        return self.root / 'sys' / self.model.path(address) / name

    def read(self, address: str, name: str) -> str:
        """Return the content of a file of a function."""
        return self.place(address, name).read_text().strip()

    def simulate_drivers(self) -> None:
        """Let the kernel unbind and bind, as its driver core does."""
        self.useFixture(
            fixtures.MonkeyPatch(_name(attributes, 'unbind'), self._unbind)
        )
        self.useFixture(
            fixtures.MonkeyPatch(_name(attributes, 'probe'), self._probe)
        )
        self.useFixture(
            fixtures.MonkeyPatch(_name(driver_binding, 'PATIENCE'), 0.2)
        )

    def _unbind(self, address: str) -> None:
        self.place(address, 'driver').unlink(missing_ok=True)

    def _probe(self, address: str) -> None:
        driver = self.read(address, 'driver_override')
        if driver in ('', '(null)'):
            driver = self.model.devices[address].model.driver
        if driver == 'no-such-driver':
            return
        folder = self.root / 'sys/bus/pci/drivers' / driver
        folder.mkdir(parents=True, exist_ok=True)
        place = self.place(address, 'driver')
        place.symlink_to(os.path.relpath(folder, place.parent))


def _name(module: object, name: str) -> str:
    return f'{getattr(module, "__name__")}.{name}'
