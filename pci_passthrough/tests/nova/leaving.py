# SPDX-License-Identifier: Apache-2.0
"""A cloud that leaves PCI flavors, and the commands for it."""

from collections.abc import Mapping
import contextlib
import io
import json
from typing import Any

import fixtures
from nova import context as nova_context
from nova import objects as nova_objects

from pci_passthrough.cmd.manage import app
from pci_passthrough.nova_plugin.install import bootstrap
from pci_passthrough.tests.nova import base


class LeavingTest(base.NovaTest):
    """Runs ``pci-passthrough-manage`` beside Nova's services.

    :ivar nova_conf: the file of Nova that the commands are given.
    """

    PCI_DEVICE_SPEC: list[str] = []

    def setUp(self) -> None:
        super().setUp()
        # This process has Nova's configuration already.
        self.useFixture(
            fixtures.MonkeyPatch(
                'pci_passthrough.nova_plugin.compat.configuration.read',
                lambda files: None,
            )
        )
        self.nova_conf = self.folder / 'nova.conf'
        self.nova_conf.write_text(
            '[api_database]\nconnection = sqlite://\n'
            '[database]\nconnection = sqlite://\n'
        )

    def manage(self, *words: str) -> tuple[int, dict[str, tuple[str, Any]]]:
        """Run a command; return its status, and name to result and remedy."""
        code, out, err = self.run_manage(*words)
        self.assertIn(code, (0, 3), err)
        return code, {
            row['Name']: (row['Result'], row['Remedy'])
            for row in json.loads(out)
        }

    def run_manage(self, *words: str) -> tuple[int, str, str]:
        """Run a command; return its status and both outputs."""
        config = self.folder / 'manage.conf'
        config.write_text(
            f'[database]\nconnection = sqlite:///{self.folder}/pci.sqlite\n'
        )
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = app.main(
                [
                    f'--config-file={config}',
                    *words,
                    f'--nova-conf={self.nova_conf}',
                    '--format=json',
                ]
            )
        return code, out.getvalue(), err.getvalue()

    def flavor(self, flavor_id: str) -> Any:
        """Return Nova's object of a flavor."""
        return nova_objects.Flavor.get_by_flavor_id(
            nova_context.get_admin_context(), flavor_id
        )

    def requests_of(self, server: Mapping[str, Any]) -> list[Any]:
        """Return the requests of a server, after comparing with its spec."""
        instance = self.instance(server)
        spec = nova_objects.RequestSpec.get_by_instance_uuid(
            nova_context.get_admin_context(), server['id']
        )
        self.assertEqual(instance.flavor.extra_specs, spec.flavor.extra_specs)
        of_instance, of_spec = (
            [
                # A move gives the instance's requests new ids.
                (request.alias_name, request.count, request.spec)
                for request in owner.pci_requests.requests
            ]
            for owner in (instance, spec)
        )
        self.assertEqual(of_instance, of_spec)
        return list(instance.pci_requests.requests)

    def restart_without_plugin(self) -> None:
        """Restart the scheduler and the computes without the Nova plugin."""
        bootstrap.uninstall()
        self.restart_scheduler()
        for host in self.computes:
            self.restart(host)

    def restart_scheduler(self) -> None:
        """Restart nova-scheduler; it makes its filters when it starts."""
        self.scheduler.stop()  # type: ignore[has-type]
        self.scheduler = self.start_service('scheduler')
