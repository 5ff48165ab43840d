# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-agent``: the service on each compute host."""

import collections
from collections.abc import Iterator
import logging as python_logging
import sys

from oslo_config import cfg
from oslo_log import log as logging

from pci_passthrough import conf as conf_module
from pci_passthrough import exception
from pci_passthrough import specs
from pci_passthrough.cmd import errors
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import scan
from pci_passthrough.services import agent
from pci_passthrough.services import reloading

PROG = 'pci-passthrough-agent'

_CLI_OPTS = [
    cfg.BoolOpt(
        'once',
        default=False,
        help='Look at the devices once and end. Without --dry-run, report '
        'what was found to a conductor.',
    ),
    cfg.BoolOpt(
        'dry-run',
        default=False,
        help='With --once: only show what this host would offer. Neither '
        'database nor broker is needed, and nothing is changed.',
    ),
    cfg.StrOpt(
        'connect',
        metavar='URI',
        help='Ask this libvirt instead of [agent] connection_uri.',
    ),
]


def main(argv: list[str] | None = None) -> int:
    """Run the agent.

    :returns: 0, or 1 after an error, which is on standard error.
    """
    args = sys.argv[1:] if argv is None else argv
    try:
        conf = _load(args)
        if conf.dry_run:
            return _dry_run(conf)
        logging.setup(conf, 'pci_passthrough')
        agent_service = agent.AgentService(conf)
        if conf.once:
            agent_service.report_once()
            return 0
    except errors.EXPECTED as error:
        return errors.report(PROG, error, None)
    reloading.launch(conf, agent_service, lambda: _load(args)).wait()
    return 0


def _load(args: list[str]) -> cfg.ConfigOpts:
    conf = conf_module.load(args, PROG, cli_opts=_CLI_OPTS)
    if conf.dry_run and not conf.once:
        raise exception.InvalidConfiguration(
            '--dry-run shows one look at the devices: say --once --dry-run'
        )
    if conf.connect:
        conf.set_override('connection_uri', conf.connect, group='agent')
    return conf


def _dry_run(conf: cfg.ConfigOpts) -> int:
    """Show what the host would offer, and what is refused and why."""
    _log_to_terminal(conf)
    information = specs.PciInformation.parse(conf.agent.pci_information)
    uri = conf.agent.connection_uri
    if not information.entries:
        print('No [agent] pci_information: this host offers nothing.')
        return 0
    host_root = agent.host_root_for(uri, conf.agent.host_root)
    host = libvirt_host.LibvirtHost(uri)
    host.connect()
    try:
        found = scan.scan(host.list_node_devices(), host_root, information)
    finally:
        host.close()
    for line in _lines(found, information, uri):
        print(line)
    return 0


def _log_to_terminal(conf: cfg.ConfigOpts) -> None:
    """Leave the service's own log alone; tell here what goes wrong."""
    for name, value in (
        ('log_config_append', None),
        ('log_file', None),
        ('log_dir', None),
        ('use_syslog', False),
        ('use_journal', False),
        ('use_stderr', True),
    ):
        conf.set_override(name, value)
    logging.setup(conf, 'pci_passthrough')
    if not conf.debug:
        python_logging.getLogger().setLevel(python_logging.WARNING)


def _lines(
    found: scan.Scan, information: specs.PciInformation, uri: str
) -> Iterator[str]:
    yield f'{uri}: {_devices(len(found.offered))} would be offered:'
    for offer in found.offered:
        tags = sorted(offer.device.extra_info.items())
        yield ' '.join(
            [_describe(offer), *(f'{key}={value}' for key, value in tags)]
        )
    if found.refused:
        yield f'{_devices(len(found.refused))} match, but are refused:'
        for refused in found.refused:
            yield f'{_describe(refused)}: {refused.reason}'
    yield (
        f'{_devices(len(found.others))} match no entry of pci_information, '
        'or one that excludes them.'
    )
    yield 'The entries of pci_information, and for how many they decided:'
    decided = collections.Counter(
        [offer.entry.index for offer in found.offered]
        + [refused.entry.index for refused in found.refused]
    )
    for entry in information.entries:
        number = 'excludes' if entry.exclude else f'{decided[entry.index]:8}'
        yield f'  entry {entry.index} {number}  {entry.text}'
    if found.use_unknown:
        yield (
            'Not checked: whether the host itself uses these devices. Name '
            "the directory of the host's sys, proc and run in [agent] "
            'host_root; only for libvirt test drivers does the agent start '
            'without it.'
        )


def _devices(number: int) -> str:
    return f'{number} device' + ('' if number == 1 else 's')


def _describe(found: scan.Offered | scan.Refused) -> str:
    device = found.device
    node = '-' if device.numa_node is None else device.numa_node
    return (
        f'  {device.address} {device.dev_type:8} '
        f'{device.vendor_id}:{device.product_id} numa={node} '
        f'entry={found.entry.index}'
    )
