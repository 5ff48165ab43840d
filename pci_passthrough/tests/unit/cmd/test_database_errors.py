# SPDX-License-Identifier: Apache-2.0
"""Error messages: one line, without secrets."""

from oslo_config import cfg
from oslo_db import exception as db_exc
import testtools

from pci_passthrough import conf as conf_module
from pci_passthrough import exception
from pci_passthrough.cmd import database_errors
from pci_passthrough.osc import errors as client_errors


def _conf(connection: str) -> cfg.ConfigOpts:
    conf = conf_module.load([], 'test', config_files=[])
    conf.set_override('connection', connection, group='database')
    return conf


class DescribeTestCase(testtools.TestCase):
    def test_own(self) -> None:
        error = exception.InvalidRequest('10g:', 'no count')
        self.assertEqual(str(error), database_errors.describe(error, None))

    def test_of_the_client(self) -> None:
        other = client_errors.ClientError('no device')
        self.assertEqual('no device', database_errors.describe(other, None))

    def test_defect(self) -> None:
        self.assertEqual(
            "KeyError: 'x'", database_errors.describe(KeyError('x'), None)
        )

    def test_database_is_named_without_passwords(self) -> None:
        conf = _conf(
            'mysql+pymysql://me:s3cret@db:3306/pci?ssl_key_password=s3cret'
        )
        for error in (
            db_exc.DBError(Exception('gone\n[SQL: select 1]')),
            ImportError('gone'),
        ):
            self.assertEqual(
                'the database mysql+pymysql://me:***@db:3306/pci cannot be '
                'used: gone',
                database_errors.describe(error, conf),
            )

    def test_cause(self) -> None:
        try:
            try:
                raise db_exc.DBConnectionError('gone')
            except db_exc.DBError as cause:
                raise exception.Unavailable('too often') from cause
        except exception.Unavailable as error:
            text = database_errors.describe(error, _conf('sqlite:////a/b'))
        self.assertEqual(
            'the database sqlite:////a/b cannot be used: too often', text
        )

    def test_no_url(self) -> None:
        text = database_errors.describe(
            db_exc.DBError('x'), _conf('me:s3cret at db')
        )
        self.assertNotIn('s3cret', text)
        self.assertIn('[database] connection', text)

    def test_nothing_was_read(self) -> None:
        self.assertEqual(
            'the database cannot be used: x',
            database_errors.describe(db_exc.DBError('x'), None),
        )
