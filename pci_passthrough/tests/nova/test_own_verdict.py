# SPDX-License-Identifier: Apache-2.0
"""The host has the last word about what may leave it.

Whoever can publish on the conductors' broker reports, claims and adopts for
any host. None of that gives a guest a device that the host does not offer.
"""

from nova.tests.fixtures import libvirt as fakelibvirt

from pci_passthrough import host_verdict
from pci_passthrough import objects
from pci_passthrough.nova_plugin.compute import first_minute
from pci_passthrough.tests.nova import base


class OwnVerdictTest(base.NovaTest):
    """A host with two GPUs."""

    def setUp(self) -> None:
        super().setUp()
        self.create_pci_flavor('gpu')
        self.patch(first_minute, '_ENDS_AT', 0)
        self.start_host('c0')
        self.gpus = base.offered(
            fakelibvirt.HostPCIDevicesInfo(
                num_pci=3, num_pfs=0, num_vfs=0, bus=base.BUS, numa_node=None
            ),
            1,
        )

    def say(self, *offered: objects.PciDevice, **refused: str) -> None:
        """Let the host's agent say what may leave it, and report nothing."""
        self.publish('c0', offered)
        if refused:
            [(_, reason)] = refused.items()
            verdict = host_verdict.Verdict(
                {}, {str(d.address): reason for d in self.gpus}
            )
            host_verdict.Publisher(self.verdicts, 'c0').publish(verdict)

    def assert_not_booted(self, reason: str) -> None:
        server = self.boot_in_vain('gpu:1')
        self.assertIn(reason, self.log())
        fault = self.api.get_server(server['id'])['fault']['message']
        fault = fault.replace(server['id'], '')
        self.assertNotIn('0000:', fault)
        self.assertNotIn('c0', fault)
        self.assertEqual({}, self.held('c0'))
        self.assertEqual({}, self.attachment_rows('c0'))

    def test_forged_report(self) -> None:
        """A message reports the host's disk as a GPU; its agent did not."""
        self.say()
        self.assert_not_booted('no entry of pci_information offers it')

    def test_refused_by_the_host(self) -> None:
        self.say(why='its disk is mounted')
        self.assert_not_booted('away: its disk is mounted')

    def test_other_hardware(self) -> None:
        self.say(*(d.replace(product_id='9999') for d in self.gpus))
        self.assert_not_booted('the host offers 8086:9999 there')

    def test_claim_takes_what_the_host_gives(self) -> None:
        server = self.boot('gpu:1')
        self.assert_guest_has('c0', server, 1)

    def test_forged_adoption(self) -> None:
        """A message gives the guest a second device, at an address of it."""
        server = self.boot('gpu:1')
        [mine] = self.hostdevs('c0', server)
        [other] = [d for d in self.gpus if d.address != mine]
        [request] = self.instance(server).pci_requests.requests
        self.pci_conductor.adopt(
            'c0', server['id'], request.request_id, [other.address], 'forged'
        )
        self.say(*(d for d in self.gpus if d.address == mine))
        self.run_periodic_tasks()
        self.hard_reboot(server)
        self.assertIn(
            f'does not give {other.address} away: the host does not have it',
            self.log(),
        )
        self.assertEqual([mine], self.hostdevs('c0', server))

    def test_withdrawn_while_it_is_held(self) -> None:
        server = self.boot('gpu:1')
        self.say()
        text = f'Not starting the guest of instance {server["id"]}: the host'
        self.hard_reboot(server)
        self.assertIn(text, self.log())
        self.say(*self.gpus)
        before = self.log().count(text)
        self.hard_reboot(server)
        self.assertEqual(before, self.log().count(text))

    def test_no_verdict(self) -> None:
        """The host is not offered, so no instance fails on it."""
        server = self.boot('gpu:1')
        self.say(*self.gpus)
        host_verdict.path_of(self.verdicts, 'c0').unlink()
        self.silence('c0', agent=False, tracker=True)
        self.run_periodic_tasks()
        self.assertIn('This host gets no instances with PCI', self.log())
        refused = self.boot_in_vain('gpu:1')
        self.assertIn('has not registered', self.refusals_of(refused)[-1])
        self.hard_reboot(server)
        self.assertIn('does pci-passthrough-agent run?', self.log())
        self.say(*self.gpus)
        self.run_periodic_tasks()
        self.boot('gpu:1')

    def test_too_old(self) -> None:
        self.flags(verdict_max_age=1, group='pci_passthrough')
        path = host_verdict.path_of(self.verdicts, 'c0')
        path.write_text(path.read_text().replace('"uptime": ', '"uptime": -'))
        self.assert_not_booted('it is older than 1 seconds')

    def test_switched_off(self) -> None:
        self.flags(verdict_dir='', group='pci_passthrough')
        host_verdict.path_of(self.verdicts, 'c0').unlink()
        self.boot('gpu:1')
