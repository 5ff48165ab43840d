# SPDX-License-Identifier: Apache-2.0
"""The schema: migrations, and the rules that it enforces."""

from typing import Any

from alembic import autogenerate
from alembic import command
from alembic import migration
from oslo_db import exception as db_exc
import sqlalchemy as sa
import testscenarios

from pci_passthrough import exception
from pci_passthrough import store
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import models
from pci_passthrough.store import schema
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import lookup as flavors
from pci_passthrough.tests.functional import servers
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_devices = models.pci_devices


class SyncTest(base.StoreTest):
    def setUp(self) -> None:
        super().setUp()
        url = self.url + '-empty'
        if self.server is not None:
            url = servers.shared(self.server).create_database()
        self.empty = store.Writer(url)
        self.addCleanup(self.empty.close)

    def test_from_empty_and_again(self) -> None:
        self.assertIsNone(schema.version(self.empty))
        self.assertEqual(schema.latest(), schema.sync(self.empty))
        self.assertEqual(schema.latest(), schema.sync(self.empty))
        schema.check(self.empty)

    def test_empty_is_refused(self) -> None:
        error = self.assertRaises(
            exception.DatabaseNotReady, schema.check, self.empty
        )
        self.assertIn('is empty; run: pci-passthrough-manage', str(error))

    def test_newer_is_accepted(self) -> None:
        schema.sync(self.empty)
        with self.empty.write() as connection:
            connection.execute(
                sa.text("UPDATE alembic_version SET version_num = '999'")
            )
        schema.check(self.empty)


def _device_row(
    number: int, status: str, instance: str | None
) -> dict[str, Any]:
    """Return a row of ``pci_devices`` with the columns of schema 001."""
    address = f'0000:0{number}:00.0'
    return {
        'id': number,
        'uuid': lookup.uuid_of('h', address),
        'compute_node_id': 1,
        'address': address,
        'dev_type': 'type-PCI',
        'pool_key_id': 1,
        'status': status,
        'presence': 'offered',
        'instance_uuid': instance,
        'request_id': instance and 'r',
        'iommu_group': 7,
        'capabilities': '[]',
        'created_at': database.now(),
    }


class UpgradeTest(base.StoreTest):
    """A database of an earlier release, with all kinds of rows."""

    def setUp(self) -> None:
        super().setUp()
        url = self.url + '-old'
        if self.server is not None:
            url = servers.shared(self.server).create_database()
        self.db = store.Writer(url)
        self.addCleanup(self.db.close)
        config = schema._config()
        with self.db.engine.begin() as connection:
            config.attributes['connection'] = connection
            command.upgrade(config, '001')

    def _fill(self) -> None:
        """Write what a release with schema 001 could have written."""
        metadata = sa.MetaData()
        with self.db.engine.begin() as connection:
            metadata.reflect(connection)
        now = database.now()
        rows: list[tuple[str, dict[str, Any]]] = [
            (
                'compute_nodes',
                {
                    'id': 1,
                    'host': 'h',
                    'revision': 1,
                    'generation': 3,
                    'sequence': 4,
                    'digest': 'd',
                    'agent_version': '1',
                    'last_report_at': now,
                    'created_at': now,
                },
            ),
            (
                'pool_keys',
                {
                    'id': 1,
                    'digest': 'k',
                    'vendor_id': '10de',
                    'product_id': '2330',
                    'pci_class': '030200',
                    'dev_type': 'type-PCI',
                    'extra_info': '{"group": "gpu"}',
                },
            ),
            ('pci_devices', _device_row(1, 'available', None)),
            ('pci_devices', _device_row(2, 'allocated', base.new_id())),
        ]
        with self.db.write() as connection:
            for table, values in rows:
                statement = metadata.tables[table].insert()
                connection.execute(statement, values)

    def test_data_survive(self) -> None:
        self.assertRaises(exception.DatabaseNotReady, schema.check, self.db)
        self._fill()
        self.assertEqual(schema.latest(), schema.sync(self.db))
        schema.check(self.db)
        [free, held] = lookup.get_all(self.db)
        self.assertEqual(
            [('available', None), ('allocated', None)],
            [(d.state, d.offered_by) for d in (free, held)],
        )
        self.assertEqual({'group': 'gpu'}, free.extra_info)
        [host] = hosts.get_all(self.db, base.TRACKED)
        self.assertEqual(
            (3, True, None, False),
            (
                host.generation,
                host.is_up,
                host.tracker_version,
                host.tracker_is_up,
            ),
        )
        with self.db.read() as connection:
            keys = connection.execute(
                sa.select(_devices.c.free_key).order_by(_devices.c.id)
            ).scalars()
            self.assertEqual([1, None], list(keys))
            groups = connection.execute(sa.select(_devices.c.shared_group))
            self.assertEqual([7, 7], list(groups.scalars()))

    def test_built_in_pci_flavors(self) -> None:
        metadata = sa.MetaData()
        with self.db.engine.begin() as connection:
            metadata.reflect(connection)
            connection.execute(
                metadata.tables['pci_flavors']
                .insert()
                .values(
                    uuid=base.new_id(),
                    name='class-display',
                    match='[{"e.group": "mine"}]',
                    is_public=True,
                    state='disabled',
                    generation=1,
                    created_at=database.now(),
                )
            )
        schema.sync(self.db)
        [mine] = flavors.get_all(self.db)
        self.assertEqual(
            ('class-display', [{'e.group': 'mine'}], None),
            (mine.name, mine.match, mine.origin),
        )
        others = flavors.get_all(self.db, origin='built-in')
        self.assertEqual(
            {
                f'class-{name}': [
                    {'class': name, 'dev_type': ['type-PCI', 'type-VF']}
                ]
                for name in ('crypto', 'network', 'storage')
            },
            {flavor.name: flavor.match for flavor in others},
        )
        changed = editing.update(self.db, 'class-crypto', {'state': 'active'})
        [first, _] = flavors.get_all(self.db)
        self.assertEqual(changed, first)

    def test_models_equal_migrations_after_an_upgrade(self) -> None:
        self._fill()
        schema.sync(self.db)
        with self.db.engine.connect() as connection:
            context = migration.MigrationContext.configure(
                connection, opts={'compare_server_default': True}
            )
            self.assertEqual(
                [],
                autogenerate.compare_metadata(context, models.Base.metadata),
            )

    def test_upgrade_that_was_killed_is_finished(self) -> None:
        self._fill()
        schema.sync(self.db)
        for undo in (
            # What MariaDB keeps of it: as far as it came.
            'ALTER TABLE pci_flavors DROP COLUMN deleted_at',
            'DROP TABLE scheduling_refusals',
            'ALTER TABLE pci_devices DROP COLUMN offered_by',
            'SELECT 1',
        ):
            with self.db.engine.begin() as connection:
                connection.execute(sa.text(undo))
                connection.execute(
                    sa.text("UPDATE alembic_version SET version_num = '001'")
                )
            self.assertEqual(schema.latest(), schema.sync(self.db))
            self.assertEqual(2, len(lookup.get_all(self.db)))

    def test_conductor_of_the_release_before_goes_on(self) -> None:
        schema.sync(self.db)
        # It knows neither the new columns nor the new table.
        self._fill()
        self.assertEqual(2, len(lookup.get_all(self.db)))


class SchemaTest(base.StoreTest):
    def test_models_equal_migrations(self) -> None:
        with self.db.engine.connect() as connection:
            context = migration.MigrationContext.configure(
                connection, opts={'compare_server_default': True}
            )
            self.assertEqual(
                [],
                autogenerate.compare_metadata(context, models.Base.metadata),
            )

    def test_indexes(self) -> None:
        # Not all of them are compared by alembic on each database.
        with self.db.engine.connect() as connection:
            existing = {
                index['name']: index['column_names']
                for index in sa.inspect(connection).get_indexes('pci_devices')
            }
        for index in _devices.indexes:
            columns = [column.name for column in index.columns]
            self.assertEqual(columns, existing.get(str(index.name)))

    def test_free_key_is_generated(self) -> None:
        with self.db.engine.connect() as connection:
            columns = sa.inspect(connection).get_columns('pci_devices')
        free_key = next(c for c in columns if c['name'] == 'free_key')
        sqltext = free_key['computed']['sqltext'].lower()
        for word in ('status', 'presence', 'disabled_reason', 'pool_key_id'):
            self.assertIn(word, sqltext)
        self.assertTrue(free_key['computed']['persisted'])


class CollationTest(base.StoreTest):
    """By MariaDB's default, upper and lower case would be equal."""

    scenarios = [s for s in base.SERVERS if s[0] == 'mariadb']

    def test_names_are_told_apart_to_the_letter(self) -> None:
        statement = sa.text(
            'SELECT table_name, column_name FROM information_schema.columns'
            ' WHERE table_schema = DATABASE() AND collation_name IS NOT NULL'
            " AND collation_name <> 'utf8mb4_bin'"
            " AND table_name <> 'alembic_version'"
        )
        with self.db.read() as connection:
            self.assertEqual([], connection.execute(statement).all())


class RowTest(base.StoreTest):
    """The rules that hold for each row of ``pci_devices``."""

    def setUp(self) -> None:
        super().setUp()
        self.flavors()
        self.report('h', [base.gpu(1)])

    def test_free_key_follows(self) -> None:
        (key_id,) = self._read(_devices.c.pool_key_id)
        self.assertEqual([key_id], self._read(_devices.c.free_key))
        for taken, back in (
            ({'status': 'cleaning'}, {'status': 'available'}),
            ({'presence': 'withdrawn'}, {'presence': 'offered'}),
            ({'presence': 'missing'}, {'presence': 'offered'}),
            ({'disabled_reason': ''}, {'disabled_reason': None}),
        ):
            self._write(taken)
            self.assertEqual([None], self._read(_devices.c.free_key))
            self._write(back)
            self.assertEqual([key_id], self._read(_devices.c.free_key))

    def test_free_key_cannot_be_written(self) -> None:
        # The error's class is each database's own.
        error = self.assertRaises(
            (db_exc.DBError, sa.exc.DBAPIError), self._write, {'free_key': 1}
        )
        self.assertIn('free_key', str(error))

    def test_owner_fits_the_status(self) -> None:
        for wrong in (
            {'status': 'claimed'},
            {'status': 'allocated'},
            {'instance_uuid': 'i'},
            {'instance_uuid': 'i', 'status': 'quarantined'},
        ):
            error = self.assertRaises(
                (db_exc.DBError, sa.exc.DBAPIError), self._write, wrong
            )
            self.assertIn('ck_pci_devices_owner', str(error))
        self._write({'instance_uuid': 'i', 'status': 'claimed'})

    def _write(self, values: dict[str, Any]) -> None:
        with self.db.write() as connection:
            connection.execute(_devices.update().values(values))

    def _read(self, column: sa.ColumnElement[Any]) -> list[Any]:
        with self.db.read() as connection:
            return list(connection.execute(sa.select(column)).scalars())
