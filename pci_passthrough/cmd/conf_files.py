# SPDX-License-Identifier: Apache-2.0
"""Configuration files of Nova and the agent: read them, write parts of them.

oslo.config parses them, so that they mean the same here as to their programs.
It does not tell from which of several files a value came, so each file is
parsed separately, in the order in which they count.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import glob
import os
import pathlib
import secrets
from typing import Any

from oslo_config import cfg

from pci_passthrough import exception
from pci_passthrough import nova_conf
from pci_passthrough.conf import agent
from pci_passthrough.specs import lint

_PCI_INFORMATION = 'pci_information'

# Source: nova.conf.pci, of which these are the only other names.
_NOVA_OPTS: list[cfg.Opt] = [
    cfg.MultiStrOpt(
        'device_spec',
        default=[],
        deprecated_opts=[
            cfg.DeprecatedOpt('passthrough_whitelist', group='pci'),
            cfg.DeprecatedOpt('pci_passthrough_whitelist', group='DEFAULT'),
        ],
    ),
    cfg.MultiStrOpt(
        'alias',
        default=[],
        deprecated_name='pci_alias',
        deprecated_group='DEFAULT',
    ),
]

#: The options of Nova that are read, all of them in ``[pci]``.
NOVA_OPTIONS = tuple(option.name for option in _NOVA_OPTS)


def find(files: Sequence[str], folders: Sequence[str]) -> list[str]:
    """Return all files in the order in which they count.

    :param folders: their ``*.conf`` files count after ``files``, sorted by
        name, as with oslo.config's ``--config-dir``.
    :raises: oslo_config.cfg.ConfigDirNotFoundError
    """
    paths = list(files)
    for folder in folders:
        if not os.path.isdir(folder):
            raise cfg.ConfigDirNotFoundError(folder)
        paths += sorted(glob.glob(os.path.join(glob.escape(folder), '*.conf')))
    return paths


def read_nova(
    files: Sequence[str], option: str
) -> list[nova_conf.OptionValue]:
    """Return the values of one of ``NOVA_OPTIONS``.

    :raises: oslo_config.cfg.Error, InvalidConfiguration
    """
    return [
        nova_conf.OptionValue(file, f'[pci] {option}', text)
        for file in files
        for text in _read(file, 'pci', _NOVA_OPTS)[option]
    ]


def read_pci_in_placement(files: Sequence[str]) -> bool:
    """Return whether Nova's scheduler asks Placement for PCI devices.

    :raises: oslo_config.cfg.Error, InvalidConfiguration
    """
    option = cfg.BoolOpt('pci_in_placement')
    values = [
        _read(file, 'filter_scheduler', [option])[option.name]
        for file in files
    ]
    return next((v for v in reversed(values) if v is not None), False)


def misplaced_of_nova(files: Iterable[str]) -> list[lint.Finding]:
    """Return findings about options of Nova that Nova does not read.

    :param files: files that oslo.config can parse.
    """
    places: dict[str, list[str]] = {'pci_in_placement': ['filter_scheduler']}
    for option in _NOVA_OPTS:
        places.setdefault(option.name, []).append('pci')
        for old in option.deprecated_opts:
            name, group = old.name or option.name, old.group or 'DEFAULT'
            places.setdefault(name, []).append(group)
    return _misplaced(files, places)


def misplaced_of_agent(files: Iterable[str]) -> list[lint.Finding]:
    """Return findings about pci_information that the agent does not read.

    :param files: files that oslo.config can parse.
    """
    return _misplaced(files, {_PCI_INFORMATION: ['agent']})


def _misplaced(
    files: Iterable[str], places: Mapping[str, Collection[str]]
) -> list[lint.Finding]:
    findings = []
    for file in files:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(file, sections).parse()
        findings += lint.of_sections(file, sections, places)
    return findings


def read_agent(files: Sequence[str]) -> list[nova_conf.OptionValue]:
    """Return the pci_information of an agent's configuration.

    :raises: oslo_config.cfg.Error, InvalidConfiguration
    """
    ((group, options),) = agent.list_opts()
    wanted = [option for option in options if option.name == _PCI_INFORMATION]
    return [
        nova_conf.OptionValue(file, f'[{group}] {_PCI_INFORMATION}', text)
        for file in files
        for text in _read(file, str(group), wanted)[_PCI_INFORMATION]
    ]


def _read(file: str, group: str, options: Sequence[cfg.Opt]) -> dict[str, Any]:
    """Return the values of options by name."""
    conf = cfg.ConfigOpts()
    conf.register_opts(options, group=group)
    try:
        # Neither default places nor environment variables count: the file may
        # come from another machine.
        conf(
            [],
            default_config_files=[file],
            default_config_dirs=[],
            use_env=False,
        )
        return {option.name: conf[group][option.name] for option in options}
    except (OSError, UnicodeError) as error:
        raise exception.InvalidConfiguration(
            f'{file} cannot be read: {error}'
        ) from error
    except (
        cfg.NoSuchGroupError,
        cfg.NoSuchOptError,
        cfg.TemplateSubstitutionError,
    ) as error:
        raise exception.InvalidConfiguration(
            f'{file}: [{group}]: {error}; write a dollar sign as $$'
        ) from error
    except cfg.ConfigFileValueError as error:
        raise exception.InvalidConfiguration(f'{file}: {error}') from error


def line(option: str, value: str) -> str:
    """Return the line of a configuration file that sets an option."""
    return f'{option} = {value.replace("$", "$$")}'


def check_target(path: str, force: bool) -> None:
    """Check that a file may be written, before the work for it begins.

    :param force: a file that exists may be replaced.
    :raises Invalid: the file may not be written.
    """
    if not force and os.path.lexists(path):
        raise exception.Invalid(
            f'{path} exists already; --force overwrites it'
        )
    if not os.path.isdir(os.path.dirname(path) or '.'):
        raise exception.Invalid(f'{path}: there is no such directory')


def write(path: str, lines: Iterable[str], force: bool) -> None:
    """Write a file completely, or not at all.

    :param force: replace a file that exists.
    :raises: Invalid, OSError
    """
    target = pathlib.Path(path)
    draft = target.with_name(f'.{target.name}.{secrets.token_hex(8)}')
    try:
        with draft.open('x', encoding='utf-8') as file:
            file.writelines(f'{line}\n' for line in lines)
            file.flush()
            os.fsync(file.fileno())
        if force:
            draft.replace(target)
        else:
            try:
                target.hardlink_to(draft)
            except FileExistsError:
                check_target(path, force)
                raise
    finally:
        draft.unlink(missing_ok=True)
