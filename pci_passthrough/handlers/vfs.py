# SPDX-License-Identifier: Apache-2.0
"""``vfs``: the wished number of virtual functions, with a known policy."""

import dataclasses
import re
from typing import Self

from pci_passthrough.handlers import driver_binding
from pci_passthrough.handlers import function_files
from pci_passthrough.handlers import interface
from pci_passthrough.handlers.privileged import attributes
from pci_passthrough.handlers.privileged import vf_links

_EXAMPLE = 'for example vfs:8,trust=off,spoofchk=on,vlan=0,mac=forget'
_SWITCH = {'on': True, 'off': False}
_MOST_VLANS = 4094


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """The argument of the handler; None means to leave a setting alone."""

    number: int | None = None
    trust: bool | None = None
    spoofchk: bool | None = None
    vlan: int | None = None
    forget_mac: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse for example ``8,trust=off,spoofchk=on,vlan=0,mac=forget``.

        :raises ValueError: the text has not this form.
        """
        wish = cls()
        for part in text.split(','):
            key, equals, value = part.strip().partition('=')
            if not equals and re.fullmatch(r'\d{1,5}', key, re.ASCII):
                wish = dataclasses.replace(wish, number=int(key))
            elif key in ('trust', 'spoofchk') and value in _SWITCH:
                wish = dataclasses.replace(wish, **{key: _SWITCH[value]})
            elif (
                key == 'vlan'
                and re.fullmatch(r'\d{1,4}', value, re.ASCII)
                and int(value) <= _MOST_VLANS
            ):
                wish = dataclasses.replace(wish, vlan=int(value))
            elif (key, value) == ('mac', 'forget'):
                wish = dataclasses.replace(wish, forget_mac=True)
            else:
                raise ValueError(f'does not know {part.strip()!r}; {_EXAMPLE}')
        return wish

    @property
    def has_policy(self) -> bool:
        """Whether something is to be set for each virtual function."""
        return self.forget_mac or any(
            setting is not None
            for setting in (self.trust, self.spoofchk, self.vlan)
        )


class VfsHandler(interface.DeviceHandler):
    """Makes virtual functions again, and sets their policy.

    A physical function that was in a guest comes back without virtual
    functions. For a virtual function the handler takes no number, and sets
    the policy of this one only.
    """

    def __init__(self, argument: str | None, host: interface.Host) -> None:
        super().__init__(None, host)
        if not argument:
            raise ValueError(f'needs a number or a policy, {_EXAMPLE}')
        self._wish = Wish.parse(argument)

    def supports(self, device: interface.Device) -> bool:
        """Physical functions with a number, virtual ones without."""
        if self._wish.number is None:
            return device.dev_type == 'type-VF'
        return device.dev_type in ('type-PF', 'type-PCI')

    def setup(
        self, device: interface.Device, progress: interface.Progress
    ) -> str:
        """Make the virtual functions, and set the policy.

        :raises HandlerError: the kernel or the driver refuses something.
        """
        if self._wish.number is None:
            return self._set_one(device)
        done = self._make(device, self._wish.number, progress)
        if self._wish.has_policy:
            function = self._function(device.address)
            for index in function.virtual_functions():
                self._set_policy(device.address, index)
            done += '; policy set for each'
        return done

    def _function(self, address: str) -> function_files.FunctionFiles:
        return function_files.FunctionFiles(self.host.root, address)

    def _make(
        self,
        device: interface.Device,
        number: int,
        progress: interface.Progress,
    ) -> str:
        done = driver_binding.bring_to_host(self.host.root, device.address)
        function = self._function(device.address)
        total = function.read('sriov_totalvfs')
        if total is None:
            raise interface.HandlerError(
                'it has no SR-IOV capability that the kernel can use'
            )
        if number > int(total):
            raise interface.HandlerError(
                f'it can have {total} virtual functions, not {number}'
            )
        before = len(function.virtual_functions())
        if before == number:
            return f'{done}has {number} virtual functions'
        progress(None, f'changing virtual functions: {before} to {number}')
        try:
            if before:
                # The kernel takes a number only while there are none.
                attributes.set_number_of_vfs(device.address, 0)
            if number:
                attributes.set_number_of_vfs(device.address, number)
        except OSError as error:
            raise interface.HandlerError(
                f'the kernel refuses {number} virtual functions: '
                f'{error.strerror}'
            ) from error
        driver_binding.wait_until(
            lambda: len(function.virtual_functions()) == number,
            f'the kernel does not show {number} virtual functions',
        )
        return f'{done}made {number} virtual functions (before: {before})'

    def _set_one(self, device: interface.Device) -> str:
        if device.parent_addr is None:
            raise interface.HandlerError('its physical function is unknown')
        function = self._function(device.parent_addr)
        for index, address in function.virtual_functions().items():
            if address == device.address:
                self._set_policy(device.parent_addr, index)
                return f'policy set for virtual function {index}'
        raise interface.HandlerError(
            f'{device.parent_addr} has no virtual function {device.address}'
        )

    def _set_policy(self, address: str, index: int) -> None:
        wish = self._wish
        vf_links.set_policy(
            address,
            index,
            wish.trust,
            wish.spoofchk,
            wish.vlan,
            wish.forget_mac,
        )
