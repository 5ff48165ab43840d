# SPDX-License-Identifier: Apache-2.0
"""Checks that Nova's configuration files install the Nova plugin.

Reads the files as Nova would, without Nova. Each ``faults_of_…`` function
returns the faults as texts for operators.
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

#: Filters that read the pools after PciFlavorFilter has replaced them.
_LATER_FILTERS = ('NUMATopologyFilter', 'PciPassthroughFilter')

_FACTORY = 'pci_passthrough.nova_plugin.middleware:factory'
_EGG = 'egg:pci_passthrough'

#: The factory and the application of nova-api's pipelines.
_PIPELINES = 'call:nova.api.auth:pipeline_factory_v21'
_APPLICATION = 'osapi_compute'

_FILTER_SCHEDULER: list[cfg.Opt] = [
    cfg.MultiStrOpt('available_filters', default=[_ALL_FILTERS]),
    cfg.ListOpt('enabled_filters'),
    cfg.ListOpt('weight_classes', default=[_ALL_WEIGHERS]),
]


@dataclasses.dataclass(frozen=True)
class NovaConf:
    """The options of ``nova.conf`` that are checked.

    :ivar has_source: whether ``config_source`` and ``driver`` are right.
    :ivar enabled_filters: None means not set.
    :ivar accepted_changes: ``[pci_passthrough] accepted_nova_changes``.
    """

    has_source: bool
    available_filters: tuple[str, ...]
    enabled_filters: tuple[str, ...] | None
    weight_classes: tuple[str, ...]
    accepted_changes: tuple[str, ...]


def read_nova_conf(files: Sequence[str]) -> NovaConf:
    """Read the files, as one configuration.

    :param files: paths, in the order of Nova's ``--config-file`` arguments.
    :raises InvalidConfiguration: they cannot be read.
    """
    conf = cfg.ConfigOpts()
    conf.register_opts(_FILTER_SCHEDULER, group='filter_scheduler')
    nova_options.register_opts(conf)
    try:
        # The project 'nova' would install the Nova plugin here.
        conf([], default_config_files=list(files), default_config_dirs=[])
        # oslo.config registers ``driver`` for groups in config_source only.
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
    """Return why processes with this ``nova.conf`` lack the Nova plugin."""
    if conf.has_source:
        return []
    return [
        f'[DEFAULT] config_source = {nova_options.GROUP} and '
        f'[{nova_options.GROUP}] driver = {nova_options.GROUP} are both '
        'needed'
    ]


def faults_of_filters(conf: NovaConf) -> list[str]:
    """Return why nova-scheduler would ignore requests for PCI flavors.

    A file without ``enabled_filters`` has no fault: it is for another
    process.
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
            '[filter_scheduler] available_filters has only '
            f"{_FILTER_NAME}: add {_ALL_FILTERS} for Nova's filters"
        )
    if _FILTER_NAME in enabled:
        position = enabled.index(_FILTER_NAME)
        faults += [
            f'[filter_scheduler] enabled_filters has {name} before '
            f'{_FILTER_NAME}, which must come first'
            for name in _LATER_FILTERS
            if name in enabled[:position]
        ]
    return faults


def faults_of_weighers(conf: NovaConf) -> list[str]:
    """Return why Nova's weighers would not run.

    ``weight_classes`` is one list, and has not one value per line as
    ``available_filters`` has. With only PciFlavorWeigher in the last line,
    Nova weighs neither memory nor CPUs.
    """
    classes = conf.weight_classes
    if set(classes) == {_WEIGHER}:
        return [
            "[filter_scheduler] weight_classes has only this project's "
            'weigher; write all in one line: '
            f'weight_classes = {_ALL_WEIGHERS},{_WEIGHER}'
        ]
    return []


def faults_of_paste(path: str) -> list[str]:
    """Return why nova-api would run without the Nova plugin.

    :param path: path of the file that ``[wsgi] api_paste_config`` names.
    :raises InvalidConfiguration: the file cannot be read.
    """
    parser = configparser.RawConfigParser(strict=False)
    try:
        with open(path, encoding='utf-8') as file:
            parser.read_file(file)
    except (configparser.Error, OSError, UnicodeError) as error:
        raise exception.InvalidConfiguration(f'{path}: {error}') from error
    sections = [
        name for name in parser.sections() if _names_factory(parser, name)
    ]
    if f'filter-app:{_APPLICATION}' in sections:
        return []
    filters = {
        name.partition(':')[2]
        for name in sections
        if name.startswith('filter:')
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


def _names_factory(parser: configparser.RawConfigParser, section: str) -> bool:
    """Whether a section is a filter made by ``middleware.factory``."""
    use = parser[section].get('use', '').partition('#')[0]
    return (
        parser[section].get('paste.filter_factory') == _FACTORY or use == _EGG
    )
