# SPDX-License-Identifier: Apache-2.0
"""Run by alembic: uses the connection which ``store.schema`` hands over."""

from alembic import context

from pci_passthrough.store import models

connection = context.config.attributes['connection']
context.configure(
    connection=connection,
    target_metadata=models.Base.metadata,
    # SQLite can alter a table only by making it anew.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
