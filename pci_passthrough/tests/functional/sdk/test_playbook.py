# SPDX-License-Identifier: Apache-2.0
"""The playbook of the documentation, with Ansible's stock modules."""

import json
import os
import pathlib
import re
import subprocess
from typing import Any

import fixtures
import testtools

from pci_passthrough.store.pci_flavors import lookup
from pci_passthrough.tests.functional.api import fixture

_ROOT = pathlib.Path(__file__).parents[4]
_PLAYBOOK = _ROOT / 'doc/source/howto/pci_flavors.yml'
#: See the Makefile.
_ANSIBLE = _ROOT / '.venv-ansible'


class PlaybookTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        if not (_ANSIBLE / '.installed').exists():
            self.skipTest('make .venv-ansible/.installed makes Ansible')
        self.api = self.useFixture(fixture.ApiFixture())
        home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        cloud = {
            'vendor_hook': 'pci_passthrough.sdk:vendor_hook',
            'auth_type': 'admin_token',
            'auth': {'endpoint': self.api.url, 'token': fixture.ADMIN},
        }
        file = home / 'clouds.yaml'
        file.write_text(json.dumps({'clouds': {'mine': cloud}}))
        self.environment = {
            'PATH': os.environ['PATH'],
            'HOME': str(home),
            'LC_ALL': 'C.UTF-8',
            'OS_CLIENT_CONFIG_FILE': str(file),
            'PYTHONPATH': str(_ROOT),
            'ANSIBLE_COLLECTIONS_PATH': str(_ANSIBLE / 'collections'),
        }

    def play(self, **variables: Any) -> tuple[int, str]:
        """Run the playbook.

        :returns: the number of changed tasks, and the output.
        """
        done = subprocess.run(
            [
                _ANSIBLE / 'bin/ansible-playbook', _PLAYBOOK,
                '--extra-vars', json.dumps(variables),
            ],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        self.addDetail('output', testtools.content.text_content(done.stdout))
        [changed] = re.findall(r'\bchanged=(\d+)', done.stdout)
        return int(changed), done.stdout

    def test_pci_flavors(self) -> None:
        """They are made, kept, changed and removed."""
        self.assertEqual(1, self.play()[0])
        [flavor] = lookup.get_all(self.api.db)
        self.assertEqual(('10g', 'direct'), (flavor.name, flavor.vnic_type))
        self.assertEqual(0, self.play()[0])

        changed = {
            'id': flavor.uuid,
            'name': '10G',
            'description': None,
            'is_public': False,
        }
        wrong = {'name': 'gpu', 'match': [{'vendor': '10de'}]}
        _, output = self.play(pci_flavors=[changed, wrong])
        self.assertIn("'vendor': no such match key", output)
        [after] = lookup.get_all(self.api.db)
        self.assertEqual(
            (flavor.uuid, '10G', None, False, flavor.match),
            (
                after.uuid,
                after.name,
                after.description,
                after.is_public,
                after.match,
            ),
        )

        gone = self.play(pci_flavors=[], old_pci_flavors=['10G', 'gpu'])
        self.assertEqual(1, gone[0])
        self.assertEqual([], lookup.get_all(self.api.db))
