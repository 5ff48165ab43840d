# SPDX-License-Identifier: Apache-2.0
"""``openstack pci flavor delete``."""

import argparse
from collections.abc import Mapping
import functools

from pci_passthrough.osc import errors
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import effect
from pci_passthrough.osc.v1 import options
from pci_passthrough.osc.v1 import shelved
from pci_passthrough.sdk import errors as sdk_errors

_FORCE = (
    'delete even a PCI flavor that instances hold devices through: no request '
    'gets a device by it any more, the instances keep their devices, and the '
    'name stays taken until the last of these devices is free'
)


class PciFlavorDelete(base.Quiet, base.Lister):
    """Delete PCI flavors, without asking Nova."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the PCI flavors."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'pci_flavors',
            nargs='+',
            metavar='<pci-flavor>',
            help='name or UUID (one or more)',
        )
        options.add_effect(parser, _FORCE)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Delete each PCI flavor, even if others cannot be deleted."""
        effects, failures = {}, 0
        for name in parsed_args.pci_flavors:
            try:
                self.warn_before(name)
                if parsed_args.dry_run:
                    preview = self.service.preview_delete_pci_flavor(
                        name, parsed_args.force
                    )
                    effects[name] = preview.fields()
                else:
                    self.service.delete_pci_flavor(
                        name, ignore_missing=False, force=parsed_args.force
                    )
            except sdk_errors.ServiceError as error:
                failures += 1
                self.log.error(
                    'Failed to delete PCI flavor with name or UUID %r: %s',
                    name,
                    error,
                )
        if failures:
            total = len(parsed_args.pci_flavors)
            raise errors.ClientError(
                f'{failures} of {total} PCI flavors failed to delete.'
            )
        return effect.table(effects) if effects else base.NOTHING

    def warn_before(self, name: str) -> None:
        """Warn of what the service does not know."""


class Delete(PciFlavorDelete):
    """Delete PCI flavors.

    A PCI flavor that instances hold devices through is only deleted with
    --force. Better disable it (set --state disabled): Nova requests it by its
    name when it moves an instance. A warning names the shelved servers whose
    flavors ask for it, if Nova shows them to you.
    """

    def warn_before(self, name: str) -> None:
        """Warn of shelved servers that could not be unshelved."""
        if not self._shelved:
            return
        flavor = self.service.get_pci_flavor(name)
        asking = {
            server
            for key in (flavor.name, flavor.uuid)
            for server in self._shelved.get(key, ())
        }
        if asking:
            self.log.warning(
                'Without PCI flavor %r these shelved servers cannot be '
                'unshelved: %s',
                flavor.name,
                ', '.join(sorted(asking)),
            )

    @functools.cached_property
    def _shelved(self) -> Mapping[str, list[str]]:
        return shelved.by_pci_flavor(self.app.client_manager)
