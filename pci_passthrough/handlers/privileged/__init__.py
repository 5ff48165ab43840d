# SPDX-License-Identifier: Apache-2.0
"""The few things that need privileges, in daemons that have only these.

oslo.privsep starts one daemon for each context, with the capabilities that
the context names and no others. With root's user id a process may write the
files of root, also without any capability.

=========  =================  ==============================================
context    capabilities       why
=========  =================  ==============================================
files      none               attributes in sysfs and nodes of disks are
                              root's own files; ``BLKDISCARD`` needs a file
                              that is open for writing
nvme       CAP_SYS_ADMIN      the kernel's nvme driver takes Sanitize, Format
                              NVM and Namespace Management from nobody else
links      CAP_NET_ADMIN      rtnetlink changes links for nobody else
=========  =================  ==============================================

A function of a daemon gets a PCI address and values of fixed forms. Where the
host's files are is the daemon's own knowledge: ``[agent] host_root`` of the
configuration files that it reads itself.
"""

import os

from oslo_config import cfg
from oslo_privsep import capabilities
from oslo_privsep import priv_context

from pci_passthrough.handlers import device_lock
from pci_passthrough.handlers import function_files

_PREFIX = __name__

#: Seconds in which a daemon must have written a file or set a link. Hundreds
#: of virtual functions take minutes; longer is the wait for a guest's end.
PATIENCE = 600.0

#: Option of the global configuration, which oslo.privsep uses.
_ROOT = cfg.StrOpt('host_root', help="Directory with the host's files.")


class _Context(priv_context.PrivContext):
    """A context whose daemon is forked if this process is root's.

    Otherwise oslo.privsep starts ``sudo privsep-helper``, or the context's
    ``helper_command``.
    """

    def start(
        self, method: priv_context.Method = priv_context.Method.ROOTWRAP
    ) -> None:
        if os.geteuid() == 0 and not self.conf.helper_command:
            method = priv_context.Method.FORK
        super().start(method)


def _context(
    name: str, needed: list[int], timeout: float | None
) -> priv_context.PrivContext:
    return _Context(
        _PREFIX,
        cfg_section=f'privileged_{name}',
        pypath=f'{_PREFIX}.{name}',
        capabilities=needed,
        timeout=timeout,
    )


files = _context('files', [], PATIENCE)
# Its programs have time limits of their own.
nvme = _context('nvme', [capabilities.CAP_SYS_ADMIN], None)
links = _context('links', [capabilities.CAP_NET_ADMIN], PATIENCE)

CONTEXTS = {'files': files, 'nvme': nvme, 'links': links}


def set_root(root: str) -> None:
    """Set the host's root directory for this process and its forks."""
    cfg.CONF.register_opt(_ROOT, group='agent')
    cfg.CONF.set_override('host_root', root, group='agent')


def run_in_process(libvirt_uri: str) -> bool:
    """Whether privileged functions need no daemon on this host.

    The files of a simulated host, of libvirt's test driver, belong to the
    agent's user.
    """
    return libvirt_uri.startswith('test:')


def startable(conf: cfg.ConfigOpts) -> set[str]:
    """Return the contexts that this process can use, for certain.

    Those are all for root's process, and for any other one those with a
    ``helper_command``. Whether sudo would start the others is not tried: a
    refusal of sudo is reported as an incident.
    """
    if os.geteuid() == 0 or run_in_process(conf.agent.connection_uri):
        return set(CONTEXTS)
    for context in CONTEXTS.values():
        conf.register_opts(priv_context.OPTS, group=context.cfg_section)
    return {
        name
        for name, context in CONTEXTS.items()
        if conf[context.cfg_section].helper_command
    }


def function(address: str) -> function_files.FunctionFiles:
    """Return the files of a PCI function of this host.

    :raises HandlerError: see ``FunctionFiles``.
    """
    cfg.CONF.register_opt(_ROOT, group='agent')
    root = cfg.CONF.agent.host_root or '/'
    device_lock.share(root, address)
    return function_files.FunctionFiles(root, address)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return the options of the daemons, for oslo-config-generator."""
    return [
        (context.cfg_section, list(priv_context.OPTS))
        for context in CONTEXTS.values()
    ]
