# SPDX-License-Identifier: Apache-2.0
"""Sphinx's configuration of the release notes."""

extensions = [
    'openstackdocstheme',
    'reno.sphinxext',
]

project = 'pci_passthrough release notes'
copyright = 'the pci_passthrough contributors'

master_doc = 'index'
source_suffix = {'.rst': 'restructuredtext'}
pygments_style = 'native'

html_theme = 'openstackdocs'
openstackdocs_auto_name = False
openstackdocs_auto_version = False
version = release = ''
openstackdocs_use_storyboard = False
