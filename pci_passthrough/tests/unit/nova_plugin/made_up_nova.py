# SPDX-License-Identifier: Apache-2.0
"""A package named ``nova``, made up for a test."""

import importlib
import pathlib
import sys

import fixtures

from pci_passthrough.nova_plugin.install import nova_source
from pci_passthrough.nova_plugin.install import verify

#: The source of a module, with a bit of everything that symbols can be.
POOLS = '''
"""Pools."""
import sys


class Pools(object):
    """Counts devices."""

    version = '1.0'

    def __init__(self, devices=None):
        self.devices = devices or []

    @property
    def count(self):
        """How many."""
        return len(self.devices)

    def take(self, number, *, numa=None):
        # The first ones.
        if not self.devices:
            raise ValueError(f'none of {number} left')
        return self.devices[:number]


def make(devices):
    return Pools(devices)
'''


class MadeUpNova(fixtures.Fixture):
    """A folder with a package ``nova``, first in Python's path.

    :ivar folder: the folder.
    """

    def _setUp(self) -> None:
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.addCleanup(self._forget)
        self._forget()
        self.useFixture(
            fixtures.MonkeyPatch('sys.path', [str(self.folder), *sys.path])
        )

    def write(self, module: str, text: str) -> None:
        """Write a module, and create the packages around it."""
        *packages, name = module.split('.')
        folder = self.folder
        for package in packages:
            folder /= package
            folder.mkdir(exist_ok=True)
            (folder / '__init__.py').touch()
        (folder / f'{name}.py').write_text(text)
        _clear_caches()

    def remove(self, module: str) -> None:
        """Remove a module."""
        self.folder.joinpath(*module.split('.')).with_suffix('.py').unlink()
        _clear_caches()

    def _forget(self) -> None:
        for name in list(sys.modules):
            if name.partition('.')[0] == 'nova':
                del sys.modules[name]
        _clear_caches()


def _clear_caches() -> None:
    importlib.invalidate_caches()
    verify.inspect.cache_clear()
    nova_source.forget_parsed()
