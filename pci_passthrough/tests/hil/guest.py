# SPDX-License-Identifier: Apache-2.0
"""Runs in the virtual machine: the handler erases a disk with a pattern."""

import os
import pathlib
import sys

from pci_passthrough import handlers
from pci_passthrough.handlers import function_files
from pci_passthrough.handlers import nvme_sanitize
from pci_passthrough.handlers import verb_process
from pci_passthrough.handlers import verb_run

#: Serial numbers: of the only controller of its subsystem, and of two that
#: share one.
ALONE, SHARED = 'alone', 'shared'

#: Says on the console that all is as it should be.
PASSED = 'HIL passed'

_PATTERN = b'a tenant was here' * 61681
_SECONDS = 300.0


def main() -> int:
    """Erase one disk, and be refused another one."""
    alone, shared = _address(ALONE), _address(SHARED)
    [name] = function_files.FunctionFiles('/', alone).disks()
    node = pathlib.Path('/dev', name)
    _fill(node)
    _check(_PATTERN in node.read_bytes(), 'the pattern is on the disk')
    outcome = _run('clean', alone)
    _check(outcome.succeeded, f'clean: {outcome.output}')
    _drop_caches()
    content = node.read_bytes()
    _check(len(content) > len(_PATTERN), f'{node} has {len(content)} bytes')
    _check(not any(content), 'the disk reads as zeros')
    for verb in ('verify', 'setup'):
        outcome = _run(verb, alone)
        _check(outcome.succeeded, f'{verb}: {outcome.output}')
    outcome = _run('clean', shared)
    _check(
        not outcome.succeeded and 'other controllers' in outcome.output,
        f'a controller of two: {outcome.output}',
    )
    print(PASSED, flush=True)
    return 0


def _check(is_so: bool, text: str) -> None:
    print(f'{"ok" if is_so else "WRONG"}: {text}', flush=True)
    if not is_so:
        sys.exit(1)


def _address(serial: str) -> str:
    for controller in pathlib.Path('/sys/class/nvme').iterdir():
        if (controller / 'serial').read_text().strip() == serial:
            return (controller / 'device').resolve().name
    raise LookupError(f'no controller {serial}')


def _fill(node: pathlib.Path) -> None:
    descriptor = os.open(node, os.O_WRONLY)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        os.lseek(descriptor, 0, os.SEEK_SET)
        written = 0
        while written + len(_PATTERN) <= size:
            written += os.write(descriptor, _PATTERN)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _drop_caches() -> None:
    pathlib.Path('/proc/sys/vm/drop_caches').write_text('3')


def _run(verb: str, address: str) -> verb_run.Outcome:
    """Run a verb with real daemons of oslo.privsep, as an agent of root's."""
    facts = pathlib.Path('/sys/bus/pci/devices', address)
    device = handlers.Device(
        address=address,
        vendor_id=(facts / 'vendor').read_text()[2:6],
        product_id=(facts / 'device').read_text()[2:6],
        pci_class=(facts / 'class').read_text()[2:8],
        dev_type='type-PCI',
    )
    host = handlers.Host(timeout=_SECONDS)
    handler = nvme_sanitize.NvmeSanitizeHandler(None, host)
    _check(handler.obstacle(device) is None, f'{address} can be erased here')
    return verb_run.run(
        verb_process.Request(
            verb=handlers.Verb(verb),
            handler='nvme-sanitize',
            device=device,
            host=host,
        ),
        _SECONDS,
        lambda percent, text: print(percent, text, flush=True),
        lambda: True,
    )


if __name__ == '__main__':
    sys.exit(main())
