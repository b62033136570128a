"""What every system stands on: one ledger, one event log, one way to declare an operation."""
