# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-agent``: the service on each compute host."""

import collections
from collections.abc import Collection
from collections.abc import Iterator
import logging as python_logging
import sys

from oslo_config import cfg
from oslo_log import log as logging

from pci_passthrough import conf as conf_module
from pci_passthrough import exception
from pci_passthrough import resource_types
from pci_passthrough import specs
from pci_passthrough.cmd import conf_files
from pci_passthrough.cmd import errors
from pci_passthrough.discovery import doubt
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import resources
from pci_passthrough.discovery import scan
from pci_passthrough.handlers import configured
from pci_passthrough.services import agent
from pci_passthrough.services import host_root
from pci_passthrough.services import reloading
from pci_passthrough.specs import lint

PROG = 'pci-passthrough-agent'

_CLI_OPTS = [
    cfg.BoolOpt(
        'once',
        default=False,
        help='Discover the devices once, report them to a conductor, and end. '
        'With --dry-run, report nothing.',
    ),
    cfg.BoolOpt(
        'dry-run',
        default=False,
        help='With --once: only show the devices that this host would offer. '
        'Needs neither database nor broker, and changes nothing.',
    ),
    cfg.StrOpt(
        'connect',
        metavar='URI',
        help='libvirt URI to use instead of [agent] connection_uri.',
    ),
]


def main(argv: list[str] | None = None) -> int:
    """Run the agent.

    :returns: 0, or 1 after an error, which is on standard error; 3 if a dry
        run found something in pci_information that is probably a mistake.
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
        return errors.report(PROG, errors.describe(error))
    reloading.launch(conf, agent_service, lambda: _load(args)).wait()
    return 0


def _load(args: list[str]) -> cfg.ConfigOpts:
    conf = conf_module.load(args, PROG, cli_opts=_CLI_OPTS)
    if conf.dry_run and not conf.once:
        raise exception.InvalidConfiguration(
            '--dry-run discovers the devices once: use --once --dry-run'
        )
    if conf.connect:
        conf.set_override('connection_uri', conf.connect, group='agent')
    return conf


def _dry_run(conf: cfg.ConfigOpts) -> int:
    """Print the devices that the host would offer, and those it refuses."""
    _log_to_terminal(conf)
    information = specs.PciInformation.parse(conf.agent.pci_information)
    findings = _findings(conf, information)
    uri = conf.agent.connection_uri
    files = host_root.reader_for(uri, conf.agent.host_root)
    path = None if files is None else files.path
    registry = configured.registry_for(conf, path, information.entries)
    types = resource_types.load()
    resources.check_entries(types, information.entries)
    defaults = configured.defaults_for(conf, path, registry)
    if not information.entries:
        print('No [agent] pci_information: this host offers nothing.')
        return _report(findings)
    host = libvirt_host.LibvirtHost(uri)
    host.connect()
    try:
        result = doubt.scan_twice_in_doubt(
            None,
            lambda: scan.scan(
                host.list_node_devices(),
                files,
                information,
                handlers_of=defaults.handlers_of,
                types=types,
                host=conf.host,
                obstacle_of=defaults.obstacle,
            ),
        ).scan
    finally:
        host.close()
    for line in _lines(result, information, uri):
        print(line)
    for item in result.offered:
        obstacle = defaults.obstacle(item.device, item.entry)
        if obstacle is not None:
            print(f'{item.device.address} has no handler, {obstacle}')
    findings += configured.unable(
        registry, [(item.device, item.entry) for item in result.offered]
    )
    return _report(findings)


def _findings(
    conf: cfg.ConfigOpts, information: specs.PciInformation
) -> list[lint.Finding]:
    """Return what is probably not meant in the agent's configuration."""
    files = conf_files.find(conf.config_file, conf.config_dirs)
    return [
        *lint.of_entries(
            information.entries,
            [f'entry {e.index} {e.text}' for e in information.entries],
        ),
        *conf_files.misplaced_of_agent(files),
    ]


def _report(findings: Collection[lint.Finding]) -> int:
    """Print findings; return the exit status."""
    if findings:
        print('Probably not what is meant:')
    for finding in findings:
        print(f'  {finding}')
    is_noticed = any(finding.is_mistake for finding in findings)
    return errors.STATUS_OF_FINDINGS if is_noticed else 0


def _log_to_terminal(conf: cfg.ConfigOpts) -> None:
    """Log warnings to standard error, and nothing to the service's log."""
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
    result: scan.Scan, information: specs.PciInformation, uri: str
) -> Iterator[str]:
    yield f'{uri}: {_devices(len(result.offered))} would be offered:'
    for offered in result.offered:
        tags = sorted(offered.device.extra_info.items())
        yield ' '.join(
            [
                _describe(offered),
                *(f'{key}={value}' for key, value in tags),
                *_handlers(offered),
            ]
        )
    yield from _shared_groups(result.offered)
    if result.refused:
        yield f'{_devices(len(result.refused))} match, but are refused:'
        for refused in result.refused:
            yield f'{_describe(refused)}: {refused.reason}'
    for address, reason in result.unusable.items():
        yield f'{address} is not offered: {reason}'
    yield (
        f'{_devices(len(result.others))} match no entry of pci_information, '
        'or one that excludes them.'
    )
    yield 'Entries of pci_information, each with the devices it applies to:'
    decided = collections.Counter(
        [offered.entry.index for offered in result.offered]
        + [refused.entry.index for refused in result.refused]
    )
    for entry in information.entries:
        number = 'excludes' if entry.exclude else f'{decided[entry.index]:8}'
        yield f'  entry {entry.index} {number}  {entry.text}'
    for idle in result.find_idle():
        yield str(idle)
    if result.use_unknown:
        yield (
            'Not checked: whether the host itself uses these devices, and '
            'which drivers it binds to others of their IOMMU groups. Set '
            "[agent] host_root to the directory of the host's sys, proc and "
            'run. The agent starts without it only for libvirt test drivers.'
        )


def _handlers(offered: scan.Offered) -> Iterator[str]:
    if offered.device.handlers:
        yield f'handlers={",".join(offered.device.handlers)}'


def _shared_groups(offers: list[scan.Offered]) -> Iterator[str]:
    groups: dict[int, list[str]] = {}
    for offered in offers:
        device = offered.device
        if device.iommu_group is not None:
            groups.setdefault(device.iommu_group, []).append(device.address)
    shared = {
        number: addresses
        for number, addresses in sorted(groups.items())
        if len(addresses) > 1
    }
    if shared:
        yield (
            'Devices of one IOMMU group can be in one instance only. Those '
            'that the instance does not get must not be bound to a driver of '
            'the host, but to vfio-pci or none:'
        )
    for number, addresses in shared.items():
        yield f'  IOMMU group {number}: {", ".join(addresses)}'


def _devices(number: int) -> str:
    return f'{number} device' + ('' if number == 1 else 's')


def _describe(verdict: scan.Offered | scan.Refused) -> str:
    device = verdict.device
    node = '-' if device.numa_node is None else device.numa_node
    vgpu_type = f'vgpu_type={device.vgpu_type} ' if device.vgpu_type else ''
    kind = device.dev_type or device.resource_type
    ids = f'{device.vendor_id or "-"}:{device.product_id or "-"}'
    if device.dev_type is None and device.parent_addr is not None:
        ids += f' on {device.parent_addr}'
    return (
        f'  {device.address} {kind:8} {ids} numa={node} '
        f'{vgpu_type}entry={verdict.entry.index}'
    )
