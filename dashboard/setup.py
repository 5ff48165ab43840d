# SPDX-License-Identifier: Apache-2.0
"""Hands the build to pbr, which reads setup.cfg."""

import setuptools

setuptools.setup(
    setup_requires=['pbr>=6.1.1'],
    pbr=True,
    # pbr asks git for the files that are no modules, which does not work
    # below the root of a repository.
    package_data={
        'pci_passthrough_dashboard': [
            'conf/*.yaml',
            'content/**/*.html',
            'local_settings.d/*.py',
            'static/**/*',
            'templates/**/*.html',
        ]
    },
)
