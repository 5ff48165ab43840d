# SPDX-License-Identifier: Apache-2.0
"""``wipe``: the disks below a storage controller are discarded or zeroed."""

from collections.abc import Iterator
from collections.abc import Mapping
import random
import time
from typing import ClassVar

from pci_passthrough.handlers import driver_binding
from pci_passthrough.handlers import function_files
from pci_passthrough.handlers import interface
from pci_passthrough.handlers.privileged import disks

_CLASS = '01'

#: Bytes of a sample, and samples at random places of a disk. With 64 of them,
#: a tenth of a disk that was missed stays unseen once in 850 times.
_SAMPLE = 64 << 10
_SAMPLES = 64


class WipeHandler(interface.DeviceHandler):
    """Wipes the disks that the kernel shows below the function.

    Each disk is discarded, if it can, and then zeros are written to all of it:
    a disk need not heed a discard. The disks are those whose directory in
    sysfs is below the function's.
    """

    erases_storage: ClassVar[bool] = True

    #: seconds in which no further disk appears, so that all are there
    settle_seconds: ClassVar[float] = 2.0

    def supports(self, device: interface.Device) -> bool:
        """Mass storage controllers."""
        return device.has_class(_CLASS)

    def clean(
        self, device: interface.Device, progress: interface.Progress
    ) -> str:
        """Wipe all disks.

        :raises HandlerError: there is none, one is in use or cannot be
            written.
        """
        done = driver_binding.bring_to_host(self.host.root, device.address)
        self._wait_for_disks(device)
        sizes = disks.sizes(device.address)
        report = _Report(progress, sum(sizes.values()))
        for name, size in sizes.items():
            done += self._wipe(device.address, name, size, report)
        return done

    def verify(
        self, device: interface.Device, progress: interface.Progress
    ) -> str:
        """Read samples of all disks, at other places than ``clean`` did.

        :raises HandlerError: a sample is not zero, or there is no disk.
        """
        self._wait_for_disks(device)
        sizes = disks.sizes(device.address)
        for name, size in sizes.items():
            if not _samples_are_zero(device.address, name, size):
                raise interface.HandlerError(f'{name} is not all zeros')
        return f'samples read as zeros: {_described(sizes)}'

    def _wait_for_disks(self, device: interface.Device) -> None:
        function = function_files.FunctionFiles(self.host.root, device.address)
        driver_binding.wait_until(
            lambda: bool(function.disks()),
            f'the kernel shows no disk below it; its driver is '
            f'{function.driver or "none"}',
        )
        before: dict[str, str] = {}
        while before != (now := function.disks()):
            before = now
            time.sleep(self.settle_seconds)

    def _wipe(
        self, address: str, name: str, size: int, report: '_Report'
    ) -> str:
        for start, length in _parts(size):
            if not disks.discard(address, name, start, length):
                break
        for start, length in _parts(size):
            disks.overwrite(address, name, start, length)
            report.add(f'overwriting {name}', start + length)
        report.finish(size)
        return f'{name}: wrote zeros over {size} bytes\n'


class _Report:
    """Percentages over all disks of a device."""

    def __init__(self, progress: interface.Progress, total: int) -> None:
        self._progress = progress
        self._total = max(total, 1)
        self._finished = 0

    def add(self, text: str, done: int) -> None:
        self._progress((self._finished + done) * 100 // self._total, text)

    def finish(self, size: int) -> None:
        self._finished += size


def _parts(size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, length) of the parts of a disk."""
    for start in range(0, size, disks.LARGEST_PART):
        yield start, min(disks.LARGEST_PART, size - start)


def _samples_are_zero(address: str, name: str, size: int) -> bool:
    """Whether the ends of a disk and random places read as zeros."""
    last = max(0, size - _SAMPLE)
    source = random.SystemRandom()
    places = [0, last, *(source.randint(0, last) for _ in range(_SAMPLES))]
    return all(
        disks.is_zero(address, name, start, min(_SAMPLE, size - start))
        for start in places
    )


def _described(sizes: Mapping[str, int]) -> str:
    return ', '.join(f'{name} ({size} bytes)' for name, size in sizes.items())
