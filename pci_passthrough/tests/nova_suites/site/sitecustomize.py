# SPDX-License-Identifier: Apache-2.0
"""Replaces the conductor in processes that run Nova's tests.

Python imports it at its start if its folder is in ``PYTHONPATH``.
Configuration installs the Nova plugin, as everywhere. At the end each process
writes a file with the replaced functions, as evidence that it ran with the
Nova plugin.
"""

import atexit
from collections.abc import Sequence
from importlib import abc
from importlib import machinery
import json
import os
import pathlib
import sys
import types

_CLIENT = 'pci_passthrough.nova_plugin.client'


class _Finder(abc.MetaPathFinder):
    """Replaces the conductor's client right after its module's import."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> machinery.ModuleSpec | None:
        if fullname != _CLIENT:
            return None
        spec = machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            from pci_passthrough.tests.nova_suites import conductor

            execute(module)
            module.replace(conductor.NoHosts())

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _write_evidence(folder: str) -> None:
    """Write the replaced functions and the RPC calls of this process."""
    bootstrap = sys.modules.get(
        'pci_passthrough.nova_plugin.install.bootstrap'
    )
    client = sys.modules.get(_CLIENT)
    path = pathlib.Path(folder, f'{os.getpid()}.json')
    path.write_text(
        json.dumps(
            {
                'replaced': bootstrap.replaced() if bootstrap else [],
                'calls': client.conductor().calls if client else {},
            }
        )
    )


if 'NOVA_SUITES_EVIDENCE' in os.environ:
    sys.meta_path.insert(0, _Finder())
    atexit.register(_write_evidence, os.environ['NOVA_SUITES_EVIDENCE'])
