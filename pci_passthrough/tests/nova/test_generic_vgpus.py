# SPDX-License-Identifier: Apache-2.0
"""Nova's own vGPUs beside mediated devices of PCI flavors."""

from typing import Any

import nova.conf
from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.libvirt import driver as libvirt_driver
from nova.virt.libvirt import utils
from oslo_utils import uuidutils

from pci_passthrough.nova_plugin.compute import matched_twice
from pci_passthrough.tests.nova import base
from pci_passthrough.tests.nova import generic

_TYPE = fakelibvirt.NVIDIA_11_VGPU_TYPE


def _create_mdev(
    driver: Any, dev_name: str, mdev_type: str, uuid: str | None = None
) -> str:
    """Make a mediated device, as libvirt does."""
    uuid = uuid or uuidutils.generate_uuid()
    name = utils.mdev_uuid2name(uuid)
    driver._host.get_connection().mdev_info.devices[name] = (
        fakelibvirt.FakeMdevDevice(
            dev_name=name, type_id=mdev_type, parent=dev_name
        )
    )
    return str(uuid)


class VgpuTest(generic.GenericTest):
    """A host with a GPU of Nova, and slices of another one."""

    def setUp(self) -> None:
        super().setUp()
        self.info = fakelibvirt.HostPCIDevicesInfo(
            num_pci=0, num_pfs=0, num_vfs=0, num_mdevcap=1, bus=base.BUS
        )
        (gpu,) = self.info.devices.values()
        self.gpu = gpu.address
        self.flags(enabled_mdev_types=[_TYPE], group='devices')
        nova.conf.devices.register_dynamic_opts(nova.conf.CONF)
        self.flags(device_addresses=[self.gpu], group=f'mdev_{_TYPE}')
        self.patch(libvirt_driver.LibvirtDriver, '_create_mdev', _create_mdev)

    def start(self, parent: str) -> None:
        """Start the host.

        :param parent: of the slices that it offers.
        """
        self.report_slices(parent)
        self.start_compute(hostname='c0', pci_info=self.info)

    def report_slices(self, parent: str) -> None:
        """Report two slices of a GPU."""
        self.report(
            'c0',
            [
                generic.slice_at(0, number).replace(
                    parent_addr=parent, offered_by='{"the": "entry"}'
                )
                for number in range(2)
            ],
        )

    def test_of_different_gpus(self) -> None:
        self.start('0000:c1:00.0')
        flavor = self.create_flavor('slice:1', resources__VGPU='1')
        server = self.boot(flavor_id=flavor)
        before = self.elements(server)
        (mine,) = self.assert_holds('c0', server, mdev=1)
        self.assertEqual(2, len(before))
        self.assertIn(('mdev', mine), before)
        for _ in range(2):
            self.hard_reboot(server)
            self.assertEqual(before, self.elements(server))
        only_nova = self.boot(
            flavor_id=self.create_flavor(None, resources__VGPU='1')
        )
        self.assertEqual(1, len(self.elements(only_nova)))
        self.hard_reboot(only_nova)
        self.assertEqual(set(), set(self.elements(only_nova)) & set(before))
        self.restart('c0')
        self.hard_reboot(server)
        self.assertEqual(before, self.elements(server))
        self._delete_server(server)
        self.assert_clean('c0')

    def test_of_one_gpu(self) -> None:
        error = self.assertRaises(
            matched_twice.MatchedTwice, self.start, self.gpu
        )
        for part in (
            f'[devices] enabled_mdev_types = {_TYPE} of nova-compute',
            '{"the": "entry"}',
            generic.slice_at(0, 0).address,
        ):
            self.assertIn(part, str(error))

    def test_of_one_gpu_later(self) -> None:
        self.start('0000:c1:00.0')
        self.report_slices(self.gpu)
        self.run_periodic_tasks()
        self.assertEqual(1, self.log().count('could be promised twice'))
        self.boot_in_vain('slice:1')
        self.assertIn('device cannot be used: ', self.log())
        self.assertEqual({}, self.held('c0'))
