# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-agent``: the service on each compute host."""

from collections.abc import Iterator
import sys

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service

from pci_passthrough import conf as conf_module
from pci_passthrough import exception
from pci_passthrough import specs
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import scan
from pci_passthrough.services import agent

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
        agent_service = agent.AgentService(conf)
        if conf.once:
            agent_service.report_once()
            return 0
    except (cfg.Error, exception.PciPassthroughError) as error:
        print(f'pci-passthrough-agent: {error}', file=sys.stderr)
        return 1
    service.launch(conf, agent_service).wait()
    return 0


def _load(args: list[str]) -> cfg.ConfigOpts:
    conf = conf_module.load(args, 'pci-passthrough-agent', cli_opts=_CLI_OPTS)
    logging.setup(conf, 'pci_passthrough')
    if conf.dry_run and not conf.once:
        raise exception.InvalidConfiguration(
            '--dry-run shows one look at the devices: say --once --dry-run'
        )
    if conf.connect:
        conf.set_override('connection_uri', conf.connect, group='agent')
    return conf


def _dry_run(conf: cfg.ConfigOpts) -> int:
    """Show what the host would offer, and what is refused and why."""
    information = specs.PciInformation.parse(conf.agent.pci_information)
    uri = conf.agent.connection_uri
    if not information.entries:
        print('No [agent] pci_information: this host offers nothing.')
        return 0
    host_root = agent.host_root_for(uri, conf.agent.host_root)
    host = libvirt_host.LibvirtHost(uri)
    host.connect()
    try:
        found = scan.scan(host, host_root, information)
    finally:
        host.close()
    for line in _lines(found, uri):
        print(line)
    return 0


def _lines(found: scan.Scan, uri: str) -> Iterator[str]:
    yield f'{len(found.offered)} devices of {uri} would be offered:'
    for offer in found.offered:
        yield f'  {_describe(offer)}'
    if found.refused:
        yield f'{len(found.refused)} matched devices are refused:'
    for refused in found.refused:
        yield f'  {_describe(refused)}: {refused.reason}'
    yield f'{len(found.others)} other devices match no entry or are excluded.'
    if found.use_unknown:
        yield (
            'Not checked: whether the host itself uses these devices. Name '
            "the directory of the host's sys and proc in [agent] host_root."
        )


def _describe(found: scan.Offer | scan.Refused) -> str:
    device = found.device
    node = '-' if device.numa_node is None else device.numa_node
    words = [
        device.address,
        f'{device.dev_type:8}',
        f'{device.vendor_id}:{device.product_id}',
        f'numa={node}',
        *(
            f'{key}={value}'
            for key, value in sorted(device.extra_info.items())
        ),
        f'[entry {found.entry.index}: {found.entry.text}]',
    ]
    return ' '.join(words)
