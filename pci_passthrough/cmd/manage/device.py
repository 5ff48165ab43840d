# SPDX-License-Identifier: Apache-2.0
"""``device …``: commands of ``openstack pci device``, for the operator."""

import argparse
from typing import ClassVar

from openstack import exceptions

from pci_passthrough.cmd.manage import arguments
from pci_passthrough.cmd.manage import formatters
from pci_passthrough.cmd.manage import show_one
from pci_passthrough.osc import errors
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import options
from pci_passthrough.osc.v1 import pci_device
from pci_passthrough.store.devices import lookup

_SHORT: columns.Columns = {
    'Host': columns.field('host'),
    'Address': columns.field('address'),
    'Type': columns.device_type,
    'Vendor:Product': formatters.vendor_and_product,
    'NUMA Node': columns.field('numa_node', columns.OrDash),
    'Extra Info': columns.field('extra_info', columns.Tags),
    'State': pci_device.State,
    'Instance': columns.field('instance_uuid', columns.OrDash),
}

_LONG: columns.Columns = {
    'UUID': columns.field('uuid'),
    **_SHORT,
    'Parent': columns.field('parent_addr', columns.OrDash),
    'Class': columns.field('pci_class', columns.OrDash),
    'Driver': columns.field('driver', columns.OrDash),
    'vGPU Type': columns.field('vgpu_type', columns.OrDash),
    'Resource Type': columns.field('resource_type', columns.OrDash),
    'Interface': columns.field('devname', columns.OrDash),
    'Presence': columns.field('presence', columns.OrDash),
    'Disabled': columns.field('disabled_reason', columns.OrDash),
    'Preparation': columns.field('preparation_text', columns.OrDash),
    'Quarantine Reason': columns.field('quarantine_reason', columns.OrDash),
}


class List(pci_device.DeviceLister):
    """List devices."""

    query_options: ClassVar[options.QueryOptions] = {
        **pci_device.DeviceLister.query_options,
        'instance': {
            **pci_device.DeviceLister.query_options['instance'],
            'type': arguments.instance_uuid,
        },
    }
    short_columns = _SHORT
    long_columns = _LONG


class Show(show_one.CsvFormat, pci_device.Show):
    """Show a device."""


class Set(show_one.ShowOne, pci_device.DeviceAction):
    """Take a device out of service, clean it, put it back; show it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the device, the action and the reason."""
        self._parser = super().get_parser(prog_name)
        return self._parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Change the device; return names and values of its fields."""
        if pci_device.lacks_reason(parsed_args):
            self._parser.error(f'--{parsed_args.action} needs a --reason')
        return pci_device.show(self.change(parsed_args))


class Resolve(show_one.ShowOne, pci_device.ResolveAction):
    """Say where the hardware of a device in conflict, or missing, is now."""

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Resolve the conflict; return names and values of its fields."""
        return pci_device.show(self.change(parsed_args))


class History(pci_device.History):
    """Show the history of a device: each event with time, actor and reason.

    Times are UTC. The device need not exist any more.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return columns and rows."""
        device = parsed_args.device
        host, slash, address = device.rpartition('/')
        if slash:
            # No list has a device that is gone, but its UUID follows from
            # host and address.
            parsed_args.device = lookup.uuid_of(host, address)
        try:
            return super().take_action(parsed_args)
        except exceptions.NotFoundException as error:
            if not slash:
                raise
            raise errors.ClientError(
                f'no PCI device {device!r} has ever existed, or its history '
                'was purged'
            ) from error
