# SPDX-License-Identifier: Apache-2.0
"""The process in which one verb of one handler runs.

The agent starts ``python -m pci_passthrough.handlers.verb_process`` in a
session of its own, writes the request as one line of JSON to its standard
input, and keeps that open. When it closes, because the agent has ended in any
way, this process, its forks and its programs end at once. Progress and the
result are lines of JSON on standard output; all else goes to standard error.
"""

from collections.abc import Mapping
import dataclasses
import json
import logging
import os
import signal
import sys
import threading
from typing import Any
from typing import TextIO

from oslo_config import cfg
from oslo_privsep import comm

from pci_passthrough import exception
from pci_passthrough.handlers import device_lock
from pci_passthrough.handlers import interface
from pci_passthrough.handlers import privileged
from pci_passthrough.handlers import program
from pci_passthrough.handlers import registry

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the process shall do."""

    verb: interface.Verb
    #: with its argument, as in the entry of pci_information
    handler: str
    device: interface.Device
    host: interface.Host
    #: whether privileged functions run in this process, as for a simulated
    #: host, whose files belong to the agent's user
    in_process: bool = False
    config_files: tuple[str, ...] = ()
    config_dirs: tuple[str, ...] = ()

    def to_line(self) -> str:
        """Return the request as one line of JSON."""
        return json.dumps(dataclasses.asdict(self)) + '\n'

    @classmethod
    def from_line(cls, line: str) -> 'Request':
        """Return the request that ``to_line`` wrote."""
        values: dict[str, Any] = json.loads(line)
        host = values.pop('host')
        commands = {
            name: interface.Command(
                name=name,
                program=tuple(command['program']),
                verbs=tuple(command['verbs']),
                timeout=command['timeout'],
            )
            for name, command in host['commands'].items()
        }
        return cls(
            verb=interface.Verb(values['verb']),
            handler=values['handler'],
            device=interface.Device.from_dict(values['device']),
            host=interface.Host(host['root'], commands, host['timeout']),
            in_process=values['in_process'],
            config_files=tuple(values['config_files']),
            config_dirs=tuple(values['config_dirs']),
        )


def run(request: Request, progress: interface.Progress) -> str:
    """Run the verb in this process; return its output.

    :raises HandlerError: it failed.
    """
    try:
        handler = registry.Registry(request.host).handler(request.handler)
    except exception.InvalidConfiguration as error:
        raise interface.HandlerError(str(error)) from error
    if request.verb not in handler.verbs():
        return ''
    if not handler.supports(request.device):
        raise interface.HandlerError(
            f'handler {request.handler} is not made for {request.device.kind}'
        )
    output = getattr(handler, request.verb)(request.device, progress)
    return str(output or '')


def prepare_privileges(request: Request) -> None:
    """Choose how privileged functions run.

    As root, oslo.privsep forks its daemons. Otherwise it starts them with
    ``sudo privsep-helper``, or with ``helper_command`` of their group in the
    configuration.
    """
    arguments = [f'--config-file={path}' for path in request.config_files]
    arguments += [f'--config-dir={path}' for path in request.config_dirs]
    cfg.CONF(arguments, project='pci_passthrough', default_config_files=[])
    privileged.set_root(request.host.root)
    if request.in_process:
        for context in privileged.CONTEXTS.values():
            context.set_client_mode(False)


class _Answers:
    """Writes lines of JSON, also from several threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, answer: Mapping[str, Any]) -> None:
        with self._lock:
            self._stream.write(json.dumps(answer) + '\n')
            self._stream.flush()

    def progress(self, percent: int | None, text: str) -> None:
        if percent is not None:
            percent = max(0, min(100, int(percent)))
        self.write({'percent': percent, 'text': ' '.join(str(text).split())})


def _end_with_the_agent() -> None:
    """End this process group when standard input is closed."""
    while os.read(0, 4096):
        pass
    program.kill_all()
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Do what the request on standard input says."""
    # Whatever prints something must not disturb the answers.
    answers = _Answers(os.fdopen(os.dup(1), 'w', encoding='utf-8'))
    os.dup2(2, 1)
    logging.basicConfig(
        level=logging.WARNING, format='%(levelname)s %(name)s %(message)s'
    )
    line = b''
    while not line.endswith(b'\n'):
        byte = os.read(0, 1)
        if not byte:
            return 1
        line += byte
    threading.Thread(target=_end_with_the_agent, daemon=True).start()
    request = Request.from_line(line.decode())
    try:
        device_lock.take(
            request.host.root, device_lock.place_of(request.device)
        )
        prepare_privileges(request)
        output = run(request, answers.progress)
    except interface.HandlerError as error:
        answers.write(
            {
                'succeeded': False,
                'text': str(error),
                'output': str(error.output or ''),
            }
        )
    except comm.PrivsepTimeout:
        answers.write(
            {
                'succeeded': False,
                'text': 'a daemon of oslo.privsep has not answered within '
                f'{privileged.PATIENCE:g} seconds',
                'output': '',
            }
        )
    except Exception as error:
        LOG.exception('The handler has a defect')
        answers.write(
            {
                'succeeded': False,
                'text': f'{type(error).__name__}: {error}',
                'output': '',
            }
        )
    else:
        answers.write({'succeeded': True, 'text': '', 'output': output})
    return 0


if __name__ == '__main__':
    sys.exit(main())
