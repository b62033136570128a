"""Set-wise statements give back exactly what was staged, whatever the characters and on both databases."""

from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, MetaData, Table, Text

from entrepot.kernel.database import Database

everything = Table(
    "statements_everything",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("text", Text),
    Column("number", BigInteger),
    Column("truth", Boolean),
    Column("octets", LargeBinary),
)
# PostgreSQL stores no NUL in a text, and neither database an unpaired surrogate. The alphabet leans on what an array
# literal must quote, and on the separator that is used while quoting.
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
awkward = st.text(st.sampled_from("{}\",\\\x1f NUL\n\t%'é中"), max_size=8)
rows = st.lists(
    st.tuples(
        st.none() | awkward | st.text(characters, max_size=20),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.booleans(),
        st.none() | st.binary(max_size=20),
    ),
    min_size=1,
    max_size=12,
)


def test_rows_come_back_as_they_were_staged(database: Database) -> None:
    with database.engine.begin() as connection:
        everything.create(connection)
    numbers = count()

    @settings(max_examples=60)
    @given(rows, st.booleans())
    def check(values: list[tuple[object, ...]], replace: bool) -> None:
        staged = [(next(numbers), *row) for row in values]
        with database.unit() as uow:
            for row in staged:
                (uow.upsert if replace else uow.insert)(everything, row)
        with database.reader() as uow:
            for row in staged:
                found = uow.row(everything, (row[0],))
                assert found is not None
                assert tuple(bytes(v) if isinstance(v, memoryview) else v for v in found) == row

    check()


def test_an_upsert_replaces_and_a_delete_removes(database: Database) -> None:
    with database.engine.begin() as connection:
        everything.create(connection)
    with database.unit() as uow:
        for number in range(3):
            uow.insert(everything, (number, "first", number, False, b""))
    with database.unit() as uow:
        uow.upsert(everything, (1, "second", None, True, None))
        uow.delete(everything, (2,))
    with database.reader() as uow:
        found = uow.fetch("SELECT id, text FROM statements_everything ORDER BY id")
    assert [tuple(row) for row in found] == [(0, "first"), (1, "second")]
