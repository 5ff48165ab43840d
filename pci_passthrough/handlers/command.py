# SPDX-License-Identifier: Apache-2.0
"""``command``: a program of the operator, from the agent's configuration."""

import json
import os
from typing import ClassVar

from pci_passthrough.handlers import interface
from pci_passthrough.handlers import program

#: Variables of the agent's environment that the program gets, too.
_KEPT = ('PATH', 'LANG', 'LC_ALL', 'TZ', 'HOME')


class CommandHandler(interface.DeviceHandler):
    """Runs a program of ``[agent] handler_command`` for its verbs.

    The program has the agent's user and no more rights. Exit status 0 means
    success; its output is kept.
    """

    erases_storage: ClassVar[bool] = False

    def __init__(self, argument: str | None, host: interface.Host) -> None:
        super().__init__(None, host)
        command = host.commands.get(argument or '')
        if command is None:
            known = ', '.join(sorted(host.commands)) or 'none'
            raise ValueError(
                'needs the name of a command in [agent] handler_command, for '
                f'example command:attest; there are: {known}'
            )
        self._command = command

    def supports(self, device: interface.Device) -> bool:
        """The operator knows which devices the program is for."""
        return True

    def verbs(self) -> tuple[interface.Verb, ...]:
        """Return the verbs that the operator wants it for."""
        return tuple(
            verb for verb in interface.Verb if verb in self._command.verbs
        )

    def setup(
        self, device: interface.Device, progress: interface.Progress
    ) -> str:
        """Run the program with the verb ``setup``."""
        return self._run(interface.Verb.SETUP, device, progress)

    def clean(
        self, device: interface.Device, progress: interface.Progress
    ) -> str:
        """Run the program with the verb ``clean``."""
        return self._run(interface.Verb.CLEAN, device, progress)

    def verify(
        self, device: interface.Device, progress: interface.Progress
    ) -> str:
        """Run the program with the verb ``verify``."""
        return self._run(interface.Verb.VERIFY, device, progress)

    def _run(
        self,
        verb: interface.Verb,
        device: interface.Device,
        progress: interface.Progress,
    ) -> str:
        command = self._command
        progress(None, f'running {command.name}')
        try:
            result = program.run(
                command.program,
                command.timeout,
                stdin=json.dumps(
                    {'verb': verb, 'device': device.as_dict()}
                ).encode(),
                environment=environment(verb, device),
            )
        except OSError as error:
            raise interface.HandlerError(
                f'{command.program[0]} cannot be started: {error.strerror}'
            ) from error
        if result.status is None:
            raise interface.HandlerError(
                f'{command.name} took more than {command.timeout:g} seconds '
                'and was killed',
                result.text,
            )
        if result.status < 0:
            raise interface.HandlerError(
                f'{command.name} was ended by signal {-result.status}',
                result.text,
            )
        if result.status:
            raise interface.HandlerError(
                f'{command.name} ended with status {result.status}',
                result.text,
            )
        return result.text


def environment(
    verb: interface.Verb, device: interface.Device
) -> dict[str, str]:
    """Return the environment of a program: facts as ``PCI_<NAME>``."""
    facts = {
        f'PCI_{name.upper()}': '' if value is None else str(value)
        for name, value in device.as_dict().items()
        if name != 'extra_info'
    }
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, **facts, 'PCI_VERB': verb}
