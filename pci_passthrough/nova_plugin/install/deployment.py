# SPDX-License-Identifier: Apache-2.0
"""Checks that Nova's configuration files install the Nova plugin.

Reads the files as Nova would, without Nova. Each ``faults_of_…`` function
returns the faults as texts for operators.
"""

from collections.abc import Sequence
import configparser
import dataclasses
import itertools
import pathlib

from oslo_config import cfg

from pci_passthrough import exception
from pci_passthrough.conf import nova as nova_options

_FILTER = 'pci_passthrough.nova_plugin.scheduler_filter.PciFlavorFilter'
_ALL_FILTERS = 'nova.scheduler.filters.all_filters'
_WEIGHER = 'pci_passthrough.nova_plugin.weigher.PciFlavorWeigher'
_ALL_WEIGHERS = 'nova.scheduler.weights.all_weighers'

#: The filter as ``enabled_filters`` names it.
FILTER_NAME = _FILTER.rpartition('.')[2]

#: Filters that read the pools after PciFlavorFilter has replaced them.
_LATER_FILTERS = ('NUMATopologyFilter', 'PciPassthroughFilter')

_FACTORY = 'pci_passthrough.nova_plugin.middleware:factory'
_EGG = 'egg:pci_passthrough'

_PASTE_FILES = ('api-paste-pci-passthrough.ini', 'api-paste.ini')

#: The factory and the application of nova-api's pipelines.
_PIPELINES = 'call:nova.api.auth:pipeline_factory_v21'
_APPLICATION = 'osapi_compute'

_FILTER_SCHEDULER: list[cfg.Opt] = [
    cfg.MultiStrOpt('available_filters', default=[_ALL_FILTERS]),
    cfg.ListOpt('enabled_filters'),
    cfg.ListOpt('weight_classes', default=[_ALL_WEIGHERS]),
]

_SCHEDULER: list[cfg.Opt] = [
    cfg.IntOpt('max_placement_results', default=1000),
]


#: The groups of Nova's databases.
_DATABASES = ('api_database', 'database')


@dataclasses.dataclass(frozen=True)
class NovaConf:
    """The options of ``nova.conf`` that are checked.

    :ivar has_source: whether ``config_source`` and ``driver`` are right.
    :ivar enabled_filters: None means not set.
    :ivar inserts_filter: ``[pci_passthrough] insert_filter``.
    :ivar accepted_changes: ``[pci_passthrough] accepted_nova_changes``.
    :ivar most_candidates: ``[scheduler] max_placement_results``.
    """

    has_source: bool
    available_filters: tuple[str, ...]
    enabled_filters: tuple[str, ...] | None
    weight_classes: tuple[str, ...]
    inserts_filter: bool
    accepted_changes: tuple[str, ...]
    most_candidates: int


def find_nova_conf() -> list[str]:
    """Return the files that all of Nova's processes read by default.

    They are ``nova.conf`` and those of ``nova.conf.d``, in Nova's order.
    """
    files = list(cfg.find_config_files('nova', 'nova'))
    for folder in cfg.find_config_dirs('nova', 'nova'):
        files += map(str, sorted(pathlib.Path(folder).glob('*.conf')))
    return files


def find_paste(nova_conf: Sequence[str]) -> str | None:
    """Return the paste file beside ``nova.conf``; None if there is none.

    That of this package comes first: it stands for Nova's.

    :param nova_conf: paths, as of ``find_nova_conf``.
    """
    folders = [pathlib.Path(path).parent for path in nova_conf]
    for folder, name in itertools.product(folders, _PASTE_FILES):
        if (folder / name).is_file():
            return str(folder / name)
    return None


def read_nova_conf(files: Sequence[str]) -> NovaConf:
    """Read the files, as one configuration.

    :param files: paths, in the order of Nova's ``--config-file`` arguments.
    :raises InvalidConfiguration: they cannot be read.
    """
    conf = cfg.ConfigOpts()
    conf.register_opts(_FILTER_SCHEDULER, group='filter_scheduler')
    conf.register_opts(_SCHEDULER, group='scheduler')
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
            conf[nova_options.GROUP].insert_filter,
            tuple(conf[nova_options.GROUP].accepted_nova_changes),
            conf.scheduler.max_placement_results,
        )
    except (cfg.Error, ValueError, OSError) as error:
        raise exception.InvalidConfiguration(
            f'{" ".join(files)}: {error}'
        ) from error


def names_databases(files: Sequence[str]) -> bool:
    """Whether the files have the connections of both databases of Nova.

    Those of nova-api do, those of nova-compute do not.

    :param files: paths, as for ``read_nova_conf``.
    :raises InvalidConfiguration: they cannot be read.
    """
    conf = cfg.ConfigOpts()
    for group in _DATABASES:
        conf.register_opt(cfg.StrOpt('connection'), group=group)
    try:
        conf([], default_config_files=list(files), default_config_dirs=[])
        return all(conf[group].connection for group in _DATABASES)
    except (cfg.Error, ValueError, OSError) as error:
        raise exception.InvalidConfiguration(
            f'{" ".join(files)}: {error}'
        ) from error


def faults_of_later_files(files: Sequence[str]) -> list[str]:
    """Return which filters and weighers are lost between the files.

    Of several files, Nova takes the list of the last one that has it.

    :param files: paths, as for ``read_nova_conf``.
    :raises InvalidConfiguration: they cannot be read.
    """
    faults = []
    before: dict[str, tuple[str, tuple[str, ...]]] = {}
    for path in files:
        conf = read_nova_conf([path])
        for option, value in (
            ('enabled_filters', conf.enabled_filters),
            ('weight_classes', conf.weight_classes),
        ):
            if not value or value == (_ALL_WEIGHERS,):
                continue
            earlier, names = before.get(option, ('', ()))
            lost = [name for name in names if name not in value]
            if lost:
                faults.append(
                    f'[filter_scheduler] {option} of {path} replaces that of '
                    f'{earlier}, without {", ".join(lost)}: keep one of the '
                    f'two lines, with {",".join([*lost, *value])}'
                )
            before[option] = path, value
    return faults


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

    Without ``enabled_filters`` Nova takes its default, into which the filter
    is inserted.
    """
    enabled = conf.enabled_filters or ()
    is_named = FILTER_NAME in enabled
    faults = []
    if is_named and _FILTER not in conf.available_filters:
        faults.append(
            '[filter_scheduler] available_filters lacks what enabled_filters '
            f'names: add available_filters = {_FILTER}'
        )
    if _ALL_FILTERS not in conf.available_filters and set(enabled) - {
        FILTER_NAME
    }:
        faults.append(
            '[filter_scheduler] available_filters has only '
            f'{FILTER_NAME}: add available_filters = {_ALL_FILTERS} for '
            "Nova's filters"
        )
    if is_named or not conf.inserts_filter:
        faults += faults_of_order(enabled)
    return faults


def place_of_filter(enabled: Sequence[str]) -> int:
    """Return the index at which the filter is inserted into others.

    :param enabled: the names of the filters, without ours.
    """
    later = [
        position
        for position, name in enumerate(enabled)
        if name in _LATER_FILTERS
    ]
    return min(later, default=len(enabled))


def faults_of_order(enabled: Sequence[str]) -> list[str]:
    """Return why the filter would not work among these filters.

    :param enabled: the names of all filters, in their order.
    """
    if FILTER_NAME not in enabled:
        others = list(enabled)
        others.insert(place_of_filter(others), FILTER_NAME)
        return [
            f'[filter_scheduler] enabled_filters lacks {FILTER_NAME}, and '
            f'[{nova_options.GROUP}] insert_filter is false: write '
            f'enabled_filters = {",".join(others)}'
        ]
    position = enabled.index(FILTER_NAME)
    return [
        f'[filter_scheduler] enabled_filters has {name} before '
        f'{FILTER_NAME}, which must come first'
        for name in _LATER_FILTERS
        if name in enabled[:position]
    ]


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
