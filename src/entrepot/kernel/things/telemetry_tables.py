"""Tables of the telemetry store. They are not on the shared metadata: telemetry has its own file and writer."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, Table, Text

telemetry_metadata = MetaData()

readings = Table(
    "telemetry_readings",
    telemetry_metadata,
    Column("tenant", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("flags", BigInteger, nullable=False),
    # What the device signed, byte for byte, and its signature: the reading is evidence without this database.
    Column("body", Text, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Index("ix_telemetry_readings_at", "tenant", "device", "at_us"),
    sqlite_with_rowid=False,
)

device_state = Table(
    "telemetry_devices",
    telemetry_metadata,
    Column("tenant", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_at_us", BigInteger, nullable=False),
    Column("last_received_us", BigInteger, nullable=False),
    Column("gaps", Text, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("filled", BigInteger, nullable=False),
    Column("late", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("given_up", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

rule_state = Table(
    "telemetry_rules",
    telemetry_metadata,
    Column("tenant", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("state", Text, nullable=False),
    sqlite_with_rowid=False,
)

# Alarms that turned, until the main database has heard of them: written with the readings, removed after the command.
turns = Table(
    "telemetry_turns",
    telemetry_metadata,
    Column("tenant", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("turn", Text, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    sqlite_with_rowid=False,
)

refusals = Table(
    "telemetry_refusals",
    telemetry_metadata,
    Column("tenant", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# A ring: slot = number modulo its size, so that a flood of rubbish cannot fill the disk.
quarantine = Table(
    "telemetry_quarantine",
    telemetry_metadata,
    Column("tenant", Text, primary_key=True),
    Column("slot", BigInteger, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
