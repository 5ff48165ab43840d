# SPDX-License-Identifier: Apache-2.0
"""The viewer of a REST request, by the default policies and by others."""

import dataclasses

from oslo_config import cfg
from oslo_policy import policy
import testtools

from pci_passthrough import exception
from pci_passthrough.api import errors
from pci_passthrough.api import policies
from pci_passthrough.api.policies import pci_flavor as flavor_policy
from pci_passthrough.api.viewer import Viewer


class ViewerTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[], default_config_dirs=[])
        self.enforcer = policies.enforcer(conf)

    def viewer(self, roles: str, user: str = 'u', name: str = 'n') -> Viewer:
        """Return a viewer of the project ``own``."""
        return Viewer.from_environ(
            {
                'HTTP_X_USER_ID': user,
                'HTTP_X_USER_NAME': name,
                'HTTP_X_PROJECT_ID': 'own',
                'HTTP_X_ROLES': roles,
            },
            self.enforcer,
        )

    def seen(self, viewed_by: Viewer) -> set[bool]:
        """Return the answers to all that a viewer can be asked."""
        return {
            viewed_by.sees_all,
            viewed_by.sees_availability,
            viewed_by.sees_counts(),
            viewed_by.sees_holders,
            viewed_by.sees_hosts(),
            viewed_by.sees_pools,
        }

    def test_administrators_see_everything(self) -> None:
        self.assertEqual({True}, self.seen(self.viewer('admin')))

    def test_without_a_role_nothing_is_seen(self) -> None:
        self.assertEqual({False}, self.seen(self.viewer('')))

    def test_readers_see_availability(self) -> None:
        reader = self.viewer('reader')
        self.assertTrue(reader.sees_availability)
        self.assertFalse(reader.sees_all or reader.sees_holders)
        self.assertFalse(reader.sees_counts() or reader.sees_hosts())

    def test_it_depends_on_the_owner(self) -> None:
        self.enforcer.set_rules(
            policy.Rules.from_dict(
                {flavor_policy.EXPLAIN_HOSTS: 'project_id:%(project_id)s'}
            ),
            use_conf=False,
        )
        reader = self.viewer('reader')
        self.assertTrue(reader.sees_hosts())
        self.assertTrue(reader.sees_hosts('own'))
        self.assertFalse(reader.sees_hosts('other'))
        self.assertFalse(reader.sees_hosts(None))

    def test_frozen(self) -> None:
        reader = self.viewer('reader')
        self.assertRaises(
            dataclasses.FrozenInstanceError, setattr, reader, 'project_id', 'x'
        )

    def test_large_counts_are_for_those_who_see_numbers(self) -> None:
        rule = flavor_policy.AVAILABILITY_COUNTS
        self.viewer('admin').check_count(1000, rule, 'own')
        reader = self.viewer('reader')
        reader.check_count(8, rule, 'own')
        error = self.assertRaises(
            errors.Forbidden, reader.check_count, 9, rule, 'own'
        )
        self.assertIn(rule, error.text)

    def test_errors_reveal_holders_to_those_who_see_devices(self) -> None:
        in_use = exception.PciFlavorInUse('gpu', 3, ['i'])
        exists = exception.PciFlavorExists('gpu', 3)
        other = exception.PciFlavorChanged('gpu')
        admin, reader = self.viewer('admin'), self.viewer('reader')
        for error in (in_use, exists, other):
            self.assertIs(error, admin.readable(error))
        hidden = reader.readable(in_use)
        self.assertNotIsInstance(hidden, exception.PciFlavorInUse)
        self.assertEqual(in_use.code, hidden.code)
        self.assertNotIn('3', hidden.text)
        self.assertNotIn('3', reader.readable(exists).text)
        self.assertEqual(exists.code, reader.readable(exists).code)
        self.assertIs(other, reader.readable(other))
        for host in (
            exception.HostInUse('h1', 1, ['0000:65:00.0 (instance i)']),
            exception.HostOutOfService('h1', ['0000:65:00.0 (disabled)']),
        ):
            self.assertIs(host, admin.readable(host))
            self.assertNotIn('0000:65', reader.readable(host).text)
            self.assertEqual(host.code, reader.readable(host).code)

    def test_actor(self) -> None:
        for name, user, actor in (
            ('ada', '1', 'ada 1'),
            ('1', '1', '1'),
            ('', '1', '1'),
            ('a\nb', '1', '1'),
        ):
            self.assertEqual(
                f'{actor} (pci-passthrough-api)',
                self.viewer('', user, name).actor,
            )
