# SPDX-License-Identifier: Apache-2.0
"""Conductors of other releases, or with a defect."""

from collections.abc import Mapping
import os
import signal
import sys
from typing import Any
from typing import NoReturn

from oslo_log import log as logging
import oslo_messaging
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import exception as ovo_exception
from oslo_versionedobjects import fields as ovo_fields

from pci_passthrough import conf as conf_module
from pci_passthrough import objects
from pci_passthrough import rpc
from pci_passthrough import store
from pci_passthrough.services import conductor

LOG = logging.getLogger('pci_passthrough.odd_conductor')


def _register_newer() -> type[objects.ReportAck]:
    """Make this process one of the next release."""

    @ovo_base.VersionedObjectRegistry.register
    class HostReport(objects.HostReport):
        # Version 1.2: Added mood
        VERSION = '1.2'
        fields = {'mood': ovo_fields.StringField(nullable=True)}

    @ovo_base.VersionedObjectRegistry.register
    class ReportAck(objects.ReportAck):
        # Version 1.1: Added advice
        VERSION = '1.1'
        fields = {'advice': ovo_fields.StringField()}

        def obj_make_compatible(
            self, primitive: dict[str, Any], target_version: str
        ) -> None:
            super().obj_make_compatible(primitive, target_version)
            if target_version == '1.0':
                LOG.info('Made an answer older')
                del primitive['advice']

    return ReportAck


class Newer(conductor.ConductorEndpoint):
    """The next version, with a method that is new and objects that grew."""

    target = oslo_messaging.Target(version='1.99')

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._ack = _register_newer()

    def _newer(self, ack: objects.ReportAck) -> objects.ReportAck:
        return self._ack(
            generation=ack.generation,
            sequence=ack.sequence,
            wanted=ack.wanted,
            advice='have a rest',
        )

    @oslo_messaging.expose  # type: ignore[untyped-decorator]
    def heartbeat(self, *args: Any, **kwargs: Any) -> objects.ReportAck:
        """Answer with a newer object."""
        return self._newer(super().heartbeat(*args, **kwargs))

    @oslo_messaging.expose  # type: ignore[untyped-decorator]
    def report(self, *args: Any, **kwargs: Any) -> objects.ReportAck:
        """Answer with a newer object."""
        return self._newer(super().report(*args, **kwargs))


class Older(conductor.ConductorEndpoint):
    """Version 1.0, which knows neither later calls nor later objects."""

    target = oslo_messaging.Target(version='1.0')

    @oslo_messaging.expose  # type: ignore[untyped-decorator]
    def report(self, context: Any, report: Any) -> objects.ReportAck:
        """Refuse what the objects of 1.0 could not be made of."""
        for device in report.offered:
            if device.VERSION != '1.0':
                LOG.info('Refused a device of version %s', device.VERSION)
                # As reading the message did.
                raise ovo_exception.IncompatibleObjectVersion(
                    objname='PciDevice',
                    objver=device.VERSION,
                    supported='1.0',
                )
        ack: objects.ReportAck = super().report(context, report)
        return ack


class Buggy(conductor.ConductorEndpoint):
    """Fails at each report with an error that nobody has heard of."""

    @oslo_messaging.expose  # type: ignore[untyped-decorator]
    def report(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Fail as a defect would."""
        raise KeyError('a defect')


class Mortal(conductor.ConductorEndpoint):
    """Dies when a claim is committed, before it answers."""

    @oslo_messaging.expose  # type: ignore[untyped-decorator]
    def claim(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Claim and die."""
        super().claim(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


_ODDITIES: Mapping[str, type[conductor.ConductorEndpoint]] = {
    'newer': Newer,
    'older': Older,
    'buggy': Buggy,
    'mortal': Mortal,
}


def main() -> None:
    """Serve until killed: ``odd_conductor ODDITY --config-file=FILE``."""
    oddity, *arguments = sys.argv[1:]
    conf = conf_module.load(arguments, oddity)
    logging.setup(conf, 'pci_passthrough')
    server = rpc.conductor_server(
        rpc.get_transport(conf),
        conf.host,
        _ODDITIES[oddity](
            store.Writer.from_conf(conf),
            store.Policy.from_conf(conf),
        ),
    )
    server.start()
    LOG.info('Odd conductor is ready')
    signal.pause()


if __name__ == '__main__':
    main()
