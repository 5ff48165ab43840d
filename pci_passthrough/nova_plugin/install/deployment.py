# SPDX-License-Identifier: Apache-2.0
"""Whether Nova's configuration files bring the door into its processes.

Reads the files as Nova would, without Nova. Each function returns what is
wrong with them, for people.
"""

from collections.abc import Sequence
import configparser
import dataclasses

from oslo_config import cfg

from pci_passthrough import exception
from pci_passthrough.conf import nova as nova_options

_FILTER = 'pci_passthrough.nova_plugin.scheduler_filter.PciFlavorFilter'
_ALL_FILTERS = 'nova.scheduler.filters.all_filters'
_FILTER_NAME = _FILTER.rpartition('.')[2]
_WEIGHER = 'pci_passthrough.nova_plugin.weigher.PciFlavorWeigher'
_ALL_WEIGHERS = 'nova.scheduler.weights.all_weighers'

#: Filters which work with what ours finds.
_LATER_FILTERS = ('NUMATopologyFilter', 'PciPassthroughFilter')

_FACTORY = 'pci_passthrough.nova_plugin.middleware:factory'
_EGG = 'egg:pci_passthrough'

#: What nova-api's applications are assembled by, and from.
_PIPELINES = 'call:nova.api.auth:pipeline_factory_v21'
_APPLICATION = 'osapi_compute'

_FILTER_SCHEDULER: list[cfg.Opt] = [
    cfg.MultiStrOpt('available_filters', default=[_ALL_FILTERS]),
    cfg.ListOpt('enabled_filters'),
    cfg.ListOpt('weight_classes', default=[_ALL_WEIGHERS]),
]


@dataclasses.dataclass(frozen=True)
class NovaConf:
    """What ``nova.conf`` says.

    :ivar has_source: whether ``config_source`` and ``driver`` are right.
    :ivar enabled_filters: None: it says nothing.
    :ivar accepted_changes: ``[pci_passthrough] accepted_nova_changes``.
    """

    has_source: bool
    available_filters: tuple[str, ...]
    enabled_filters: tuple[str, ...] | None
    weight_classes: tuple[str, ...]
    accepted_changes: tuple[str, ...]


def read_nova_conf(files: Sequence[str]) -> NovaConf:
    """Read the files, as one configuration.

    :param files: in the order of Nova's ``--config-file`` arguments.
    :raises InvalidConfiguration: they cannot be read.
    """
    conf = cfg.ConfigOpts()
    conf.register_opts(_FILTER_SCHEDULER, group='filter_scheduler')
    nova_options.register_opts(conf)
    try:
        # Not as the project 'nova', which would install the door here.
        conf([], default_config_files=list(files), default_config_dirs=[])
        # Registered by oslo.config for the groups of config_source alone.
        has_source = (
            nova_options.GROUP in conf.config_source
            and conf[nova_options.GROUP].driver == nova_options.GROUP
        )
        enabled = conf.filter_scheduler.enabled_filters
        return NovaConf(
            has_source,
            tuple(conf.filter_scheduler.available_filters),
            None if enabled is None else tuple(enabled),
            tuple(conf.filter_scheduler.weight_classes),
            tuple(conf[nova_options.GROUP].accepted_nova_changes),
        )
    except (cfg.Error, ValueError, OSError) as error:
        raise exception.InvalidConfiguration(
            f'{" ".join(files)}: {error}'
        ) from error


def faults_of_source(conf: NovaConf) -> list[str]:
    """Return why processes with this ``nova.conf`` have no door."""
    if conf.has_source:
        return []
    return [
        f'[DEFAULT] config_source = {nova_options.GROUP} and '
        f'[{nova_options.GROUP}] driver = {nova_options.GROUP} are both '
        'needed'
    ]


def faults_of_filters(conf: NovaConf) -> list[str]:
    """Return why the scheduler would not ask for PCI flavors.

    Nothing is wrong with a file that says nothing of filters: it is another
    process's, or there is a scheduler without any of ours.
    """
    enabled = conf.enabled_filters
    if enabled is None:
        return []
    faults = []
    if _FILTER_NAME not in enabled:
        faults.append(
            f'[filter_scheduler] enabled_filters lacks {_FILTER_NAME}'
        )
    if _FILTER not in conf.available_filters:
        faults.append(f'[filter_scheduler] available_filters lacks {_FILTER}')
    if _ALL_FILTERS not in conf.available_filters and set(enabled) - {
        _FILTER_NAME
    }:
        faults.append(
            '[filter_scheduler] available_filters names ours alone: it needs '
            f"{_ALL_FILTERS}, too, for Nova's own"
        )
    if _FILTER_NAME in enabled:
        place = enabled.index(_FILTER_NAME)
        faults += [
            f'[filter_scheduler] enabled_filters has {name} before '
            f'{_FILTER_NAME}, which must come first'
            for name in _LATER_FILTERS
            if name in enabled[:place]
        ]
    return faults


def faults_of_weighers(conf: NovaConf) -> list[str]:
    """Return why hosts would be weighed otherwise than is meant.

    The option is one list, not one value a line like available_filters: with
    ours alone there, Nova weighs neither memory nor CPUs for anybody.
    """
    classes = conf.weight_classes
    if set(classes) == {_WEIGHER}:
        return [
            '[filter_scheduler] weight_classes names ours alone; all in one '
            f'line: weight_classes = {_ALL_WEIGHERS},{_WEIGHER}'
        ]
    return []


def faults_of_paste(path: str) -> list[str]:
    """Return why nova-api would serve without the door.

    :param path: of the file in the place of ``api-paste.ini``.
    :raises InvalidConfiguration: it cannot be read.
    """
    parser = configparser.RawConfigParser(strict=False)
    try:
        with open(path, encoding='utf-8') as file:
            parser.read_file(file)
    except (configparser.Error, OSError, UnicodeError) as error:
        raise exception.InvalidConfiguration(f'{path}: {error}') from error
    ours = [name for name in parser.sections() if _is_ours(parser, name)]
    if f'filter-app:{_APPLICATION}' in ours:
        return []
    filters = {
        name.partition(':')[2] for name in ours if name.startswith('filter:')
    }
    if not filters:
        return [f'no filter has paste.filter_factory = {_FACTORY}']
    pipelines = [
        (name, option, parser[name][option].split())
        for name in parser.sections()
        if parser[name].get('use') == _PIPELINES
        for option in parser[name]
        if option not in ('use', *parser.defaults())
    ]
    if not pipelines:
        return [f'no application has use = {_PIPELINES}']
    return [
        f'[{name}] {option} lacks {" or ".join(sorted(filters))}'
        for name, option, words in pipelines
        if not filters.intersection(words)
    ]


def _is_ours(parser: configparser.RawConfigParser, section: str) -> bool:
    use = parser[section].get('use', '').partition('#')[0]
    return (
        parser[section].get('paste.filter_factory') == _FACTORY or use == _EGG
    )
