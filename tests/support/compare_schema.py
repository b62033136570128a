"""Prints how a migrated database differs from the models: `python -m tests.support.compare_schema URL`.

A process of its own, because other tests define tables of theirs on the shared metadata.
"""

import sys

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from entrepot.app import define_every_table
from entrepot.kernel.database import metadata, open_database
from entrepot.migrations import upgrade

define_every_table()
database = open_database(sys.argv[1], durable=False)
upgrade(database)
upgrade(database)  # a second worker that starts finds nothing to do
with database.engine.connect() as connection:
    for difference in compare_metadata(MigrationContext.configure(connection), metadata):
        if not (difference[0] == "remove_table" and difference[1].name == "alembic_version"):
            print(difference)
database.close()
