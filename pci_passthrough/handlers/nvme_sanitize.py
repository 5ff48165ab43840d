# SPDX-License-Identifier: Apache-2.0
"""``nvme-sanitize``: an NVMe controller erases its media.

All numbers are those of the NVM Express Base Specification 2.0: Identify
Controller (SANICAP, OACS, FNA), the Sanitize command, and the sanitize status
log page.
"""

from collections.abc import Mapping
import os
import shutil
import time
from typing import ClassVar

from pci_passthrough.handlers import driver_binding
from pci_passthrough.handlers import function_files
from pci_passthrough.handlers import interface
from pci_passthrough.handlers.privileged import nvme_admin

#: Actions by their bit in SANICAP, the quickest first.
_ACTIONS = (
    (1 << 0, nvme_admin.CRYPTO_ERASE, 'crypto erase'),
    (1 << 1, nvme_admin.BLOCK_ERASE, 'block erase'),
    (1 << 2, nvme_admin.OVERWRITE, 'overwrite'),
)

#: Bits of OACS.
_FORMAT, _NAMESPACE_MANAGEMENT = 1 << 1, 1 << 3
#: Bits of FNA: format and secure erase concern all namespaces; crypto erase.
_FORMATS_ALL, _ERASES_ALL, _CRYPTO = 1 << 0, 1 << 1, 1 << 2

#: SSTAT: its lowest three bits, and "global data erased".
_STATUS, _GLOBAL_DATA_ERASED = 0x7, 1 << 8
_SUCCEEDED, _IN_PROGRESS, _FAILED, _SUCCEEDED_ALLOCATED = 1, 2, 3, 4

#: SPROG counts in parts of 65536.
_WHOLE = 65536

#: Seconds between two looks at the progress.
_PAUSE = 2.0

#: Seconds before the end of the verb at which a format is given up, so that
#: nvme-cli ends first.
_MARGIN = 30.0

#: Bit of CMIC: the NVM subsystem can have several controllers.
_SEVERAL_CONTROLLERS = 1 << 1

_CLASS = '0108'


class NvmeSanitizeHandler(interface.DeviceHandler):
    """Sanitizes an NVM subsystem, or formats with secure erase.

    A physical function that can sanitize does: crypto erase, else block
    erase, else one overwrite. Otherwise, and for each virtual function, whose
    subsystem has other owners' namespaces, every namespace that is attached
    to the controller is formatted with cryptographic or user data erase.
    """

    erases_storage: ClassVar[bool] = True

    def supports(self, device: interface.Device) -> bool:
        """NVMe controllers."""
        return device.has_class(_CLASS)

    def obstacle(self, device: interface.Device) -> str | None:
        """Return which program, or folder of device nodes, is missing."""
        for name in nvme_admin.PROGRAMS:
            if shutil.which(name) is None:
                return f'{name} is not installed'
        nodes = os.path.join(self.host.root, 'dev')
        return None if os.path.isdir(nodes) else f'there is no {nodes}'

    def clean(
        self, device: interface.Device, progress: interface.Progress
    ) -> str:
        """Erase all that the owner could have stored.

        :raises HandlerError: the controller can do neither, or failed.
        """
        deadline = time.monotonic() + self.host.timeout
        done = driver_binding.bring_to_host(self.host.root, device.address)
        self._wait_for_controller(device)
        data = nvme_admin.controller_data(device.address)
        if device.parent_addr is None:
            _check_is_alone(device.address, data)
        if device.parent_addr is None and data['sanicap'] & 0b111:
            done += self._sanitize(device, data['sanicap'], progress)
        elif data['oacs'] & _FORMAT:
            done += self._format(device, data, progress, deadline)
        else:
            raise interface.HandlerError(
                'the controller can neither sanitize nor format; use the '
                'handler wipe',
                str(data),
            )
        return done

    def verify(
        self, device: interface.Device, progress: interface.Progress
    ) -> str:
        """Ask a controller that can sanitize whether all data is erased.

        :raises HandlerError: its log does not say so.
        """
        data = nvme_admin.controller_data(device.address)
        if device.parent_addr is not None or not data['sanicap'] & 0b111:
            return (
                'formatted with secure erase; the controller keeps no log '
                'that proves it'
            )
        _, status = nvme_admin.sanitize_status(device.address)
        succeeded = status & _STATUS in (_SUCCEEDED, _SUCCEEDED_ALLOCATED)
        if not (succeeded and status & _GLOBAL_DATA_ERASED):
            raise interface.HandlerError(
                'the sanitize status log does not say that all data is '
                f'erased: SSTAT {status:#06x}'
            )
        return f'global data erased, by the sanitize log: SSTAT {status:#06x}'

    def setup(
        self, device: interface.Device, progress: interface.Progress
    ) -> str:
        """Create a namespace if the owner has deleted all of them."""
        if device.parent_addr is not None:
            return ''
        driver_binding.bring_to_host(self.host.root, device.address)
        self._wait_for_controller(device)
        namespaces = nvme_admin.namespaces(device.address)
        if namespaces:
            return f'namespaces: {", ".join(map(str, namespaces))}'
        data = nvme_admin.controller_data(device.address)
        if not data['oacs'] & _NAMESPACE_MANAGEMENT or not data['unvmcap']:
            raise interface.HandlerError(
                'the controller has no namespace, and cannot create one',
                str(data),
            )
        # The first format has blocks of 512 bytes, by all vendors' defaults.
        blocks = data['unvmcap'] // 512
        nvme_admin.create_namespace(device.address, blocks, data['cntlid'])
        return f'created a namespace of {blocks} blocks'

    def _wait_for_controller(self, device: interface.Device) -> None:
        function = function_files.FunctionFiles(self.host.root, device.address)
        driver_binding.wait_until(
            lambda: bool(function.nvme_controllers()),
            'the nvme driver shows no controller of it; its driver is '
            f'{function.driver or "none"}',
        )

    def _sanitize(
        self,
        device: interface.Device,
        capabilities: int,
        progress: interface.Progress,
    ) -> str:
        action, name = next(
            (action, name)
            for bit, action, name in _ACTIONS
            if capabilities & bit
        )
        _, status = nvme_admin.sanitize_status(device.address)
        if status & _STATUS == _IN_PROGRESS:
            # Of an attempt that was interrupted: the controller goes on by
            # itself, also after a reset or power loss.
            name = 'sanitize operation that was in progress'
        else:
            nvme_admin.start_sanitize(device.address, action)
        progress(0, name)
        while True:
            done, status = nvme_admin.sanitize_status(device.address)
            if status & _STATUS != _IN_PROGRESS:
                break
            progress(done * 100 // _WHOLE, name)
            time.sleep(_PAUSE)
        if status & _STATUS not in (_SUCCEEDED, _SUCCEEDED_ALLOCATED):
            raise interface.HandlerError(
                f'{name} failed: SSTAT {status:#06x} of the sanitize log'
            )
        return f'{name} done'

    def _format(
        self,
        device: interface.Device,
        data: Mapping[str, int],
        progress: interface.Progress,
        deadline: float,
    ) -> str:
        all_at_once = data['fna'] & (_FORMATS_ALL | _ERASES_ALL)
        if device.parent_addr is not None and all_at_once:
            raise interface.HandlerError(
                'formatting a namespace of this virtual function would erase '
                f'those of all others: FNA {data["fna"]:#04x}'
            )
        setting, name = (
            (nvme_admin.CRYPTOGRAPHIC_ERASE, 'cryptographic erase')
            if data['fna'] & _CRYPTO
            else (nvme_admin.USER_DATA_ERASE, 'user data erase')
        )
        # A virtual function has only what is attached to it. An owner of the
        # whole controller may have detached a namespace, with data in it.
        can_detach = (
            device.parent_addr is None and data['oacs'] & _NAMESPACE_MANAGEMENT
        )
        namespaces = nvme_admin.namespaces(device.address, bool(can_detach))
        if not namespaces:
            raise interface.HandlerError(
                'it has no namespace that could be formatted', str(data)
            )
        if device.parent_addr is not None:
            for namespace in namespaces:
                _check_is_private(device.address, namespace)
        for position, namespace in enumerate(namespaces):
            progress(
                position * 100 // len(namespaces),
                f'format of namespace {namespace}, {name}',
            )
            nvme_admin.format_namespace(
                device.address,
                namespace,
                setting,
                max(1.0, deadline - time.monotonic() - _MARGIN),
            )
        numbers = ', '.join(map(str, namespaces))
        return f'formatted with {name}: namespaces {numbers}'


def _check_is_alone(address: str, data: Mapping[str, int]) -> None:
    """Refuse a subsystem in which other controllers can have namespaces.

    Those of the function's own virtual functions do not count: no guest has
    them while its physical function is between two owners.

    :raises HandlerError: there are others, or nobody can tell.
    """
    if not data['cmic'] & _SEVERAL_CONTROLLERS:
        return
    others = nvme_admin.other_controllers(address, data['cntlid'])
    if others:
        raise interface.HandlerError(
            'its NVM subsystem has other controllers, whose data would be '
            f'erased, too: {", ".join(map(str, others))}; use the handler wipe'
        )


def _check_is_private(address: str, namespace: int) -> None:
    """Refuse a namespace that other controllers can have, too.

    :raises HandlerError: it is shared, or nobody can tell.
    """
    if nvme_admin.is_shared(address, namespace):
        raise interface.HandlerError(
            f'its namespace {namespace} can be attached to other controllers, '
            'too, whose owner would lose it'
        )
