# SPDX-License-Identifier: Apache-2.0
"""Sphinx's configuration of the documentation."""

import logging
import pathlib
import sys
from typing import Any

_HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(_HERE / '_ext'))

extensions = [
    'cliff.sphinxext',
    'api_reference',
    'openstackdocstheme',
    'sphinx.ext.autodoc',
    'oslo_config.sphinxext',
    'oslo_policy.sphinxext',
]

project = 'pci_passthrough'
copyright = 'the pci_passthrough contributors'

master_doc = 'index'
source_suffix = {'.rst': 'restructuredtext'}
pygments_style = 'native'

# Options of cliff's own, which all lists have, hide those of a command.
autoprogram_cliff_application = 'openstack'
autoprogram_cliff_ignored = [
    '--help', '--format', '--column', '--quote', '--noindent', '--max-width',
    '--fit-width', '--print-empty', '--sort-column', '--sort-ascending',
    '--sort-descending', '--prefix', '--variable',
]  # fmt: skip

html_theme = 'openstackdocs'
openstackdocs_auto_name = False
openstackdocs_auto_version = False
version = release = ''
# There is no repository of it on opendev.org yet, so no links to a bug
# tracker either.
openstackdocs_use_storyboard = False


def setup(app: Any) -> None:
    """Let the documentation be built from a tarball, too.

    The theme warns that it cannot name the commit, and a warning is an error.
    """
    logging.getLogger('sphinx.openstackdocstheme.ext').addFilter(
        lambda record: 'gitsha' not in record.getMessage()
    )
