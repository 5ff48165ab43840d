# SPDX-License-Identifier: Apache-2.0
"""Reading other programs' configuration, and writing a part of one.

oslo.config reads, so that a file means here what it means to its program.
It does not say from which file a value of several came, so each file is read
by itself; in the order of the files the values are the same.
"""

from collections.abc import Iterable
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

#: What of Nova's configuration is looked at, all of it in ``[pci]``.
NOVA_OPTIONS = tuple(option.name for option in _NOVA_OPTS)


def find(files: Sequence[str], folders: Sequence[str]) -> list[str]:
    """Return all files in the order in which they count.

    :param folders: of which the ``*.conf`` files count, by name, after the
        files, as with oslo.config's ``--config-dir``.
    :raises: oslo_config.cfg.ConfigDirNotFoundError
    """
    found = list(files)
    for folder in folders:
        if not os.path.isdir(folder):
            raise cfg.ConfigDirNotFoundError(folder)
        found += sorted(glob.glob(os.path.join(glob.escape(folder), '*.conf')))
    return found


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


def is_pci_in_placement(files: Sequence[str]) -> bool:
    """Whether Nova's scheduler asks Placement for PCI devices.

    :raises: oslo_config.cfg.Error, InvalidConfiguration
    """
    option = cfg.BoolOpt('pci_in_placement')
    said = [
        _read(file, 'filter_scheduler', [option])[option.name]
        for file in files
    ]
    return next((one for one in reversed(said) if one is not None), False)


def read_agent(files: Sequence[str]) -> list[nova_conf.OptionValue]:
    """Return the pci_information of an agent's configuration.

    :raises: oslo_config.cfg.Error, InvalidConfiguration
    """
    ((group, options),) = agent.list_opts()
    mine = [one for one in options if one.name == _PCI_INFORMATION]
    return [
        nova_conf.OptionValue(file, f'[{group}] {_PCI_INFORMATION}', text)
        for file in files
        for text in _read(file, str(group), mine)[_PCI_INFORMATION]
    ]


def _read(file: str, group: str, options: Sequence[cfg.Opt]) -> dict[str, Any]:
    """Return the values of options by name."""
    conf = cfg.ConfigOpts()
    conf.register_opts(options, group=group)
    try:
        # Neither the usual places nor this shell's variables count: the file
        # may be another machine's.
        conf(
            [],
            default_config_files=[file],
            default_config_dirs=[],
            use_env=False,
        )
        return {one.name: conf[group][one.name] for one in options}
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
    """Return a line that oslo.config reads as a value."""
    return f'{option} = {value.replace("$", "$$")}'


def check_target(path: str, force: bool) -> None:
    """Check, before anything else is done, that a file may be written.

    :raises: Invalid
    """
    if not force and os.path.lexists(path):
        raise exception.Invalid(
            f'{path} exists already; --force overwrites it'
        )
    if not os.path.isdir(os.path.dirname(path) or '.'):
        raise exception.Invalid(f'{path}: there is no such directory')


def write(path: str, lines: Iterable[str], force: bool) -> None:
    """Write a file as a whole, or nothing.

    :param force: whether one that exists is replaced.
    :raises: Invalid, OSError
    """
    target = pathlib.Path(path)
    draft = target.with_name(f'.{target.name}.{secrets.token_hex(8)}')
    try:
        with draft.open('x', encoding='utf-8') as file:
            file.writelines(f'{one}\n' for one in lines)
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
