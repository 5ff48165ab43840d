# SPDX-License-Identifier: Apache-2.0
"""Where the files of the agent's host are."""

from oslo_config import cfg

from pci_passthrough import exception
from pci_passthrough import host_verdict
from pci_passthrough.discovery import sysfs_reader

#: libvirt drivers that are local and manage the host's own devices.
_LOCAL_DRIVERS = ('qemu:///', 'ch:///', 'xen:///', 'lxc:///')


def reader_for(
    uri: str, configured: str | None
) -> sysfs_reader.SysfsReader | None:
    """Return the reader of the host's own files; None if they are elsewhere.

    :param uri: libvirt's, ``[agent] connection_uri``.
    :param configured: ``[agent] host_root``.
    """
    if configured:
        return sysfs_reader.SysfsReader(configured)
    return (
        sysfs_reader.SysfsReader('/')
        if uri.startswith(_LOCAL_DRIVERS)
        else None
    )


def check(uri: str, root: sysfs_reader.SysfsReader | None) -> None:
    """Check that the files are known, unless libvirt makes up its host.

    :raises InvalidConfiguration: they are not.
    """
    if root is None and not uri.startswith('test:'):
        raise exception.InvalidConfiguration(
            f'[agent] connection_uri {uri} is not local, so [agent] '
            'host_root must name the directory below which that '
            "host's sys, proc and run are found: without them nobody "
            'can tell which devices the host itself uses'
        )


def verdict_folder(options: cfg.ConfigOpts.GroupAttr) -> str | None:
    """Return where to publish the verdict; None if nobody reads it.

    :param options: of the group ``[agent]``.
    """
    folder: str | None = options.verdict_dir
    if folder is None and not options.connection_uri.startswith('test:'):
        return host_verdict.DEFAULT_FOLDER
    return folder or None
