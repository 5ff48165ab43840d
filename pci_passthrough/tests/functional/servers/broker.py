# SPDX-License-Identifier: Apache-2.0
"""The RabbitMQ server."""

import os
import socket

from pci_passthrough.tests.functional.servers import base


class RabbitMQ(base.Server):
    """A RabbitMQ broker with a separate Erlang port mapper (epmd)."""

    @property
    def url(self) -> str:
        """The transport URL for oslo.messaging."""
        return (
            f'rabbit://{self.administrator}:{self.password}'
            f'@{base.LOOPBACK}:{self.port}/'
        )

    def _initialise(self) -> None:
        self._epmd_port = self.useFixture(base.Port()).number
        self._erlang_port = self.useFixture(base.Port()).number
        (self.directory / 'plugins').write_text('[].\n')
        (self.directory / 'rabbitmq.conf').write_text(
            f'listeners.tcp.1 = {base.LOOPBACK}:{self.port}\n'
            f'default_user = {self.administrator}\n'
            f'default_pass = {self.password}\n'
            'log.console = true\n'
            'log.file = false\n'
            'vm_memory_high_watermark.absolute = 512MB\n'
            'disk_free_limit.absolute = 50MB\n'
        )
        # Started here, epmd ends with the fixture. Erlang would start a
        # daemon that outlives the broker.
        epmd = [base.program('epmd'), '-port', str(self._epmd_port)]
        self._helpers.append(self._spawn([*epmd, '-address', base.LOOPBACK]))

    def _command(self) -> list[str]:
        # The distribution's wrapper in the PATH changes the user and the
        # directories; the script that it calls does not.
        return [base.program('rabbitmq-server', '/usr/lib/rabbitmq/bin')]

    def _environment(self) -> dict[str, str]:
        directory = self.directory
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(('RABBITMQ_', 'ERL_'))
        }
        return kept | {
            # Erlang stores its cookie there.
            'HOME': str(directory),
            'ERL_CRASH_DUMP_BYTES': '0',
            'ERL_EPMD_ADDRESS': base.LOOPBACK,
            'ERL_EPMD_PORT': str(self._epmd_port),
            # All Erlang processes read it, so that the broker's short-lived
            # children listen on no other interface either.
            'ERL_FLAGS': '-kernel inet_dist_use_interface {127,0,0,1}',
            'RABBITMQ_NODENAME': f'pci{self.port}@localhost',
            'RABBITMQ_DIST_PORT': str(self._erlang_port),
            'RABBITMQ_CONF_ENV_FILE': str(directory / 'no-env.conf'),
            'RABBITMQ_CONFIG_FILE': str(directory / 'rabbitmq.conf'),
            'RABBITMQ_ADVANCED_CONFIG_FILE': str(directory / 'none.config'),
            'RABBITMQ_ENABLED_PLUGINS_FILE': str(directory / 'plugins'),
            'RABBITMQ_MNESIA_BASE': str(directory / 'mnesia'),
            'RABBITMQ_LOG_BASE': str(directory),
            'RABBITMQ_PID_FILE': str(directory / 'pid'),
            'RABBITMQ_GENERATED_CONFIG_DIR': str(directory / 'config'),
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': '+S 1:1 +sbwt none',
            # Makes the script exec the broker, so that the exit status is
            # the broker's.
            'RUNNING_UNDER_SYSTEMD': 'yes',
        }

    def _answers(self) -> bool:
        # The broker starts the listener last. It answers the protocol header
        # with Connection.Start, a method frame.
        try:
            with socket.create_connection(
                (base.LOOPBACK, self.port), 5
            ) as tcp:
                tcp.sendall(b'AMQP\x00\x00\x09\x01')
                return tcp.recv(1) == b'\x01'
        except OSError:
            return False
