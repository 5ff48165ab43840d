# SPDX-License-Identifier: Apache-2.0
"""Runs nvme-cli for the NVMe controller of one PCI function."""

from collections.abc import Callable
import ctypes
import json
import os
import stat
from typing import Any
from typing import TypeVar

from pci_passthrough.handlers import interface
from pci_passthrough.handlers import privileged
from pci_passthrough.handlers import program

_T = TypeVar('_T')

#: Seconds for a command that only asks or starts something.
_ASK = 60.0

#: The programs that must be installed, of util-linux and of nvme-cli.
PROGRAMS = ('setpriv', 'nvme')

#: The program ends with the daemon.
_RUN = ('setpriv', '--pdeathsig=KILL', 'nvme')

#: Of prctl(2).
_PR_SET_NO_NEW_PRIVS = 38

#: Sanitize actions (NVM Express Base Specification, Sanitize command, SANACT).
BLOCK_ERASE, OVERWRITE, CRYPTO_ERASE = 2, 3, 4

#: Secure erase settings of Format NVM (SES).
USER_DATA_ERASE, CRYPTOGRAPHIC_ERASE = 1, 2

#: Fields of Identify Controller, with nvme-cli's names.
_FIELDS = ('sanicap', 'fna', 'oacs', 'cmic', 'cntlid', 'unvmcap')


@privileged.nvme.entrypoint
def controller_data(address: str) -> dict[str, int]:
    """Return ``_FIELDS`` of Identify Controller; absent ones are 0.

    :raises HandlerError: nvme-cli fails, or there is no controller.
    """
    return _read(
        address,
        'id-ctrl',
        # Some releases of nvme-cli write the capacity as a string.
        lambda document: {n: int(document.get(n, 0)) for n in _FIELDS},
    )


@privileged.nvme.entrypoint
def namespaces(address: str, also_detached: bool = False) -> list[int]:
    """Return the ids of the namespaces that are attached to the controller.

    :param also_detached: all that the NVM subsystem has.
    :raises HandlerError: nvme-cli fails.
    """
    return _read(
        address,
        'list-ns',
        lambda document: sorted(
            int(item['nsid']) for item in document.get('nsid_list', [])
        ),
        *(['--all'] if also_detached else []),
    )


@privileged.nvme.entrypoint
def other_controllers(address: str, controller: int) -> list[int]:
    """Return the ids of the other controllers of the NVM subsystem.

    :param controller: the id of the function's own controller. Its secondary
        controllers, those of virtual functions, are left out.
    :raises HandlerError: nvme-cli fails.
    """
    every = _read(
        address,
        'list-ctrl',
        lambda document: {int(i['ctrl_id']) for i in document['ctrl_list']},
    )
    own = {controller}
    if every > own:
        own |= _read(
            address,
            'list-secondary',
            lambda document: {
                int(item['secondary-controller-identifier'])
                for item in document['secondary-controllers']
                if int(item['primary-controller-identifier']) == controller
            },
        )
    return sorted(every - own)


@privileged.nvme.entrypoint
def is_shared(address: str, namespace: int) -> bool:
    """Return whether several controllers can have a namespace (NMIC).

    :raises HandlerError: nvme-cli fails.
    """
    return _read(
        address,
        'id-ns',
        lambda document: bool(int(document['nmic']) & 1),
        f'--namespace-id={int(namespace)}',
    )


@privileged.nvme.entrypoint
def sanitize_status(address: str) -> tuple[int, int]:
    """Return SPROG and SSTAT of the sanitize status log.

    :raises HandlerError: nvme-cli fails.
    """
    log = _run(address, ['sanitize-log', '{}', '--raw-binary'])
    if len(log) < 4:
        raise interface.HandlerError('the sanitize status log is too short')
    return (
        int.from_bytes(log[0:2], 'little'),
        int.from_bytes(log[2:4], 'little'),
    )


@privileged.nvme.entrypoint
def start_sanitize(address: str, action: int) -> None:
    """Start a sanitize operation of the whole NVM subsystem.

    :raises HandlerError: the action is none, or nvme-cli fails.
    """
    if action not in (BLOCK_ERASE, OVERWRITE, CRYPTO_ERASE):
        raise interface.HandlerError(f'{action} is no sanitize action')
    arguments = ['sanitize', '{}', f'--sanact={action}']
    if action == OVERWRITE:
        arguments.append('--owpass=1')
    _run(address, arguments)


@privileged.nvme.entrypoint
def format_namespace(
    address: str, namespace: int, setting: int, timeout: float
) -> None:
    """Format a namespace with secure erase; returns when it is done.

    :param setting: ``USER_DATA_ERASE`` or ``CRYPTOGRAPHIC_ERASE``.
    :raises HandlerError: nvme-cli fails.
    """
    if setting not in (USER_DATA_ERASE, CRYPTOGRAPHIC_ERASE):
        raise interface.HandlerError(f'{setting} is no secure erase setting')
    _run(
        address,
        [
            'format', '{}', f'--namespace-id={int(namespace)}',
            f'--ses={setting}', '--force',
            f'--timeout={int(timeout * 1000)}',
        ],
        timeout + _ASK,
    )  # fmt: skip


@privileged.nvme.entrypoint
def create_namespace(address: str, blocks: int, controller: int) -> None:
    """Create a namespace in the first format, and attach it.

    :raises HandlerError: nvme-cli fails.
    """
    _run(
        address,
        [
            'create-ns', '{}', f'--nsze={int(blocks)}',
            f'--ncap={int(blocks)}', '--flbas=0',
        ],
        600.0,
    )  # fmt: skip
    _run(
        address,
        [
            'attach-ns', '{}', '--namespace-id=1',
            f'--controllers={int(controller)}',
        ],
    )  # fmt: skip
    _run(address, ['ns-rescan', '{}'])


def gain_nothing_by_exec() -> None:
    """Let programs of this thread have its capabilities at most.

    A program that root's user executes gets all capabilities otherwise, also
    if the process has given them up.

    :raises OSError: the kernel refuses.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _read(
    address: str,
    command: str,
    take: Callable[[Any], _T],
    *options: str,
) -> _T:
    """Return what is taken from the JSON document that nvme-cli writes.

    :raises HandlerError: nvme-cli fails, or the document has another form.
    """
    text = _run(address, [command, '{}', *options, '--output-format=json'])
    try:
        return take(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise interface.HandlerError(
            f'nvme {command} answers in an unknown form: {error}',
            text.decode(errors='replace'),
        ) from error


def _run(address: str, arguments: list[str], timeout: float = _ASK) -> bytes:
    """Run nvme-cli; ``{}`` among the arguments is the controller's node."""
    function = privileged.function(address)
    controllers = function.nvme_controllers()
    if len(controllers) != 1:
        raise interface.HandlerError(
            f'it has {len(controllers)} NVMe controllers in sysfs, not one; '
            f'its driver is {function.driver or "none"}, not nvme?'
        )
    [(name, number)] = controllers.items()
    descriptor = function.open_node(name, number, os.O_RDONLY, stat.S_ISCHR)
    try:
        gain_nothing_by_exec()
        # While it is open, the node's number belongs to this controller.
        node = os.path.join(function.files.root, f'dev/{name}')
        result = program.run(
            [*_RUN, *(node if a == '{}' else a for a in arguments)], timeout
        )
    except OSError as error:
        raise interface.HandlerError(
            f'nvme cannot be started ({error.strerror}); nvme-cli and '
            'util-linux must be installed'
        ) from error
    finally:
        os.close(descriptor)
    if result.status != 0:
        ending = (
            f'no answer within {timeout:g} seconds'
            if result.status is None
            else f'status {result.status}'
        )
        raise interface.HandlerError(
            f'nvme {arguments[0]} of {name} failed: {ending}', result.text
        )
    return result.output
