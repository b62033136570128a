"""The first release

Revision: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "alarms",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_zh", sa.Text(), nullable=False),
        sa.Column("raised_us", sa.BigInteger(), nullable=False),
        sa.Column("raised_seq", sa.BigInteger(), nullable=False),
        sa.Column("raised_by", sa.Text(), nullable=False),
        sa.Column("cleared_us", sa.BigInteger(), nullable=False),
        sa.Column("cleared_seq", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_us", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_by", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_alarms")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("alarms", schema=None) as batch_op:
        batch_op.create_index("ix_alarms_device", ["tenant", "device", "id"], unique=False)

    op.create_table(
        "answered",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answered")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("answered", schema=None) as batch_op:
        batch_op.create_index("ix_answered_at", ["at"], unique=False)

    op.create_table(
        "blocks",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "height", name=op.f("pk_blocks")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "calendar_notices",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("year", sa.BigInteger(), nullable=False),
        sa.Column("days_off", sa.Text(), nullable=False),
        sa.Column("make_up", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("imported_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "calendar", "year", name=op.f("pk_calendar_notices")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "case_entries",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "case_id", "number", name=op.f("pk_case_entries")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "case_types",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", name=op.f("pk_case_types")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cases",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("closed", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_zh", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("assignee", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("left_us", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_cases")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("cases", schema=None) as batch_op:
        batch_op.create_index(
            "ix_cases_due",
            ["tenant", "due_at"],
            unique=False,
            sqlite_where=sa.text("closed = 0 AND due_at < 4611686018427387903"),
            postgresql_where=sa.text("closed = 0 AND due_at < 4611686018427387903"),
        )
        batch_op.create_index("ix_cases_party", ["tenant", "party", "closed", "id"], unique=False)

    op.create_table(
        "credential_epochs",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_credential_epochs")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "credentials",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_credentials")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("credentials", schema=None) as batch_op:
        batch_op.create_index("ix_credentials_person", ["tenant", "person"], unique=False)
        batch_op.create_index("uq_credentials_token_hash", ["token_hash"], unique=True)

    op.create_table(
        "devices",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_zh", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("custodian", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("listens", sa.BigInteger(), nullable=False),
        sa.Column("registered_us", sa.BigInteger(), nullable=False),
        sa.Column("retired_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_devices")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "document_links",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("linked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "digest", "subject", name=op.f("pk_document_links")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("document_links", schema=None) as batch_op:
        batch_op.create_index("ix_document_links_subject", ["tenant", "subject"], unique=False)

    op.create_table(
        "documents",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("put_by", sa.Text(), nullable=False),
        sa.Column("put_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "digest", name=op.f("pk_documents")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "event_subscriptions",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", name=op.f("pk_event_subscriptions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_events")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("ix_events_subject", ["tenant", "subject", "id"], unique=False)

    op.create_table(
        "ledger_accounts",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("may_go_negative", sa.Boolean(), nullable=False),
        sa.Column("frozen", sa.Boolean(), nullable=False),
        sa.Column("cap", sa.BigInteger(), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("posted", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("next_expiry", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_ledger_accounts")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("ledger_accounts", schema=None) as batch_op:
        batch_op.create_index("ix_ledger_accounts_asset", ["tenant", "asset"], unique=False)
        batch_op.create_index("ix_ledger_accounts_owner", ["tenant", "owner", "asset"], unique=False)

    op.create_table(
        "ledger_assets",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("scale", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("defined_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "code", name=op.f("pk_ledger_assets")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_batches",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("failures", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_ledger_batches")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("ledger_batches", schema=None) as batch_op:
        batch_op.create_index("ix_ledger_batches_at", ["tenant", "at", "id"], unique=False)
        batch_op.create_index(
            "ix_ledger_batches_key",
            ["tenant", "key"],
            unique=True,
            postgresql_where=sa.text("key <> ''"),
            sqlite_where=sa.text("key <> ''"),
        )

    op.create_table(
        "ledger_definitions",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_ledger_definitions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_encumbrances",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("creditor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_ledger_encumbrances")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("ledger_encumbrances", schema=None) as batch_op:
        batch_op.create_index("ix_ledger_encumbrances_creditor", ["tenant", "creditor"], unique=False)
        batch_op.create_index("ix_ledger_encumbrances_owner", ["tenant", "owner", "asset"], unique=False)

    op.create_table(
        "ledger_holds",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("debit", sa.BigInteger(), nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("captured", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_ledger_holds")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("ledger_holds", schema=None) as batch_op:
        batch_op.create_index("ix_ledger_holds_account", ["debit", "opened_at"], unique=False)
        batch_op.create_index(
            "ix_ledger_holds_expiry",
            ["debit", "expires_at"],
            unique=False,
            postgresql_where=sa.text("status = 'open' AND expires_at > 0"),
            sqlite_where=sa.text("status = 'open' AND expires_at > 0"),
        )

    op.create_table(
        "ledger_transfers",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("batch", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("debit", sa.BigInteger(), nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("group_number", sa.BigInteger(), nullable=False),
        sa.Column("hold", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "batch", "number", name=op.f("pk_ledger_transfers")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("ledger_transfers", schema=None) as batch_op:
        batch_op.create_index("ix_ledger_transfers_credit", ["credit", "at"], unique=False)
        batch_op.create_index("ix_ledger_transfers_debit", ["debit", "at"], unique=False)

    op.create_table(
        "notice_addresses",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("codes", sa.BigInteger(), nullable=False),
        sa.Column("code_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("resting_until", sa.BigInteger(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_notice_addresses")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("notice_addresses", schema=None) as batch_op:
        batch_op.create_index("ix_notice_addresses_party", ["tenant", "party"], unique=False)
        batch_op.create_index("ix_notice_addresses_state", ["tenant", "state"], unique=False)

    op.create_table(
        "notice_deliveries",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("queued_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "notice", "address", name=op.f("pk_notice_deliveries")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("notice_deliveries", schema=None) as batch_op:
        batch_op.create_index("ix_notice_deliveries_address", ["tenant", "address", "state", "next_at"], unique=False)
        batch_op.create_index("ix_notice_deliveries_due", ["state", "next_at"], unique=False)

    op.create_table(
        "notices",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_zh", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("body_zh", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
        sa.Column("read_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_notices")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("notices", schema=None) as batch_op:
        batch_op.create_index("ix_notices_party", ["tenant", "party", "id"], unique=False)

    op.create_table(
        "openid_subjects",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "issuer", "subject", name=op.f("pk_openid_subjects")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "organisations",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("credit_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("legal_representative", sa.Text(), nullable=False),
        sa.Column("beneficial_owners", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("frozen", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_organisations")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("organisations", schema=None) as batch_op:
        batch_op.create_index("uq_organisations_credit_code", ["tenant", "credit_code"], unique=True)

    op.create_table(
        "people",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name_commitment", sa.Text(), nullable=False),
        sa.Column("identity_commitment", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_people")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "price_series",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_zh", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("proxy", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("stale_days", sa.BigInteger(), nullable=False),
        sa.Column("jump_limit_bp", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_price_series")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "prices",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "series", "day", name=op.f("pk_prices")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "region_demo",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_region_demo")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "relations",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("relation", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "object_id", "relation", "party", name=op.f("pk_relations")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("relations", schema=None) as batch_op:
        batch_op.create_index("ix_relations_party", ["tenant", "party", "relation", "object_id"], unique=False)

    op.create_table(
        "role_assignments",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "person", "organisation", "role", name=op.f("pk_role_assignments")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "seals",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("row_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "position", name=op.f("pk_seals")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("seals", schema=None) as batch_op:
        batch_op.create_index("ix_seals_row", ["tenant", "stream", "row_id"], unique=True)

    op.create_table(
        "sign_in_accounts",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user_name", name=op.f("pk_sign_in_accounts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "signing_heads",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "height", "key", name=op.f("pk_signing_heads")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "signing_keys",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("purposes", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_signing_keys")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("signing_keys", schema=None) as batch_op:
        batch_op.create_index("ix_signing_keys_holder", ["tenant", "holder"], unique=False)

    op.create_table(
        "signing_seals",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("stamp_key", sa.Text(), nullable=False),
        sa.Column("stamp_payload", sa.Text(), nullable=False),
        sa.Column("stamp_signature", sa.Text(), nullable=False),
        sa.Column("stamped_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "document", "key", name=op.f("pk_signing_seals")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tf_facilities",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("lender", sa.Text(), nullable=False),
        sa.Column("borrower", sa.Text(), nullable=False),
        sa.Column("custodian", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("advance_rate_bp", sa.BigInteger(), nullable=False),
        sa.Column("warning_bp", sa.BigInteger(), nullable=False),
        sa.Column("top_up_bp", sa.BigInteger(), nullable=False),
        sa.Column("disposal_bp", sa.BigInteger(), nullable=False),
        sa.Column("rate_bp", sa.BigInteger(), nullable=False),
        sa.Column("day_count", sa.Text(), nullable=False),
        sa.Column("cure_hours", sa.BigInteger(), nullable=False),
        sa.Column("notice_hours", sa.BigInteger(), nullable=False),
        sa.Column("disposal_discount_bp", sa.BigInteger(), nullable=False),
        sa.Column("disposal_cost_bp", sa.BigInteger(), nullable=False),
        sa.Column("disposal_buyer", sa.Text(), nullable=False),
        sa.Column("signed_by", sa.Text(), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("certified_at", sa.BigInteger(), nullable=False),
        sa.Column("registration", sa.Text(), nullable=False),
        sa.Column("registered_until", sa.BigInteger(), nullable=False),
        sa.Column("accrued_to", sa.Text(), nullable=False),
        sa.Column("carry", sa.BigInteger(), nullable=False),
        sa.Column("call_case", sa.Text(), nullable=False),
        sa.Column("disposal_case", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_tf_facilities")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("tf_facilities", schema=None) as batch_op:
        batch_op.create_index("ix_tf_facilities_borrower", ["tenant", "borrower"], unique=False)
        batch_op.create_index("ix_tf_facilities_lender", ["tenant", "lender"], unique=False)
        batch_op.create_index("ix_tf_facilities_series_state", ["tenant", "series", "state"], unique=False)

    op.create_table(
        "tf_instructions",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("facility_id", sa.Text(), nullable=False),
        sa.Column("loan_id", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("debtor", sa.Text(), nullable=False),
        sa.Column("creditor", sa.Text(), nullable=False),
        sa.Column("hold", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("instructed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_tf_instructions")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("tf_instructions", schema=None) as batch_op:
        batch_op.create_index("ix_tf_instructions_facility_id", ["tenant", "facility_id"], unique=False)

    op.create_table(
        "tf_loans",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("facility_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("instruction_id", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_tf_loans")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("tf_loans", schema=None) as batch_op:
        batch_op.create_index("ix_tf_loans_facility_id", ["tenant", "facility_id"], unique=False)

    op.create_table(
        "tf_pledges",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("facility_id", sa.Text(), nullable=False),
        sa.Column("receipt_id", sa.Text(), nullable=False),
        sa.Column("encumbrance", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("pledged_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_tf_pledges")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("tf_pledges", schema=None) as batch_op:
        batch_op.create_index("ix_tf_pledges_facility_id_state", ["tenant", "facility_id", "state"], unique=False)

    op.create_table(
        "tf_valuations",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("facility_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("debt", sa.BigInteger(), nullable=False),
        sa.Column("ltv_bp", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "facility_id", "at", name=op.f("pk_tf_valuations")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "timers",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("fired_at", sa.BigInteger(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("retry_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name=op.f("pk_timers")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("timers", schema=None) as batch_op:
        batch_op.create_index("ix_timers_due", ["state", "due_at"], unique=False)

    op.create_table(
        "unsealed",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("row_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "stream", "row_id", name=op.f("pk_unsealed")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "vault_commitments",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("commitment", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_vault_commitments")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("vault_commitments", schema=None) as batch_op:
        batch_op.create_index("ix_vault_commitments_person", ["tenant", "person"], unique=False)

    op.create_table(
        "vault_consents",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "person", "purpose", "category", name=op.f("pk_vault_consents")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "vault_fields",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("commitment", sa.Text(), nullable=False),
        sa.Column("consent", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.Column("retention_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "person", "field", "purpose", name=op.f("pk_vault_fields")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("vault_fields", schema=None) as batch_op:
        batch_op.create_index("ix_vault_fields_retention", ["tenant", "retention_until"], unique=False)

    op.create_table(
        "vault_keys",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("cipher", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("erased_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "person", name=op.f("pk_vault_keys")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "wh_receipts",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("tank_id", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("custodian", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("pledgee", sa.Text(), nullable=False),
        sa.Column("encumbrance", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_wh_receipts")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("wh_receipts", schema=None) as batch_op:
        batch_op.create_index("ix_wh_receipts_owner", ["tenant", "owner"], unique=False)
        batch_op.create_index("ix_wh_receipts_tank_id_state", ["tenant", "tank_id", "state"], unique=False)

    op.create_table(
        "wh_tanks",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("custodian", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("commodity", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("height_mm", sa.BigInteger(), nullable=False),
        sa.Column("strapping", sa.Text(), nullable=False),
        sa.Column("capacity_kg", sa.BigInteger(), nullable=False),
        sa.Column("tolerance_bp", sa.BigInteger(), nullable=False),
        sa.Column("stale_after_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_wh_tanks")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("wh_tanks", schema=None) as batch_op:
        batch_op.create_index("ix_wh_tanks_custodian", ["tenant", "custodian"], unique=False)

    op.create_table(
        "workflow_workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("heartbeat_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflow_workers")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("workflow_workers")
    with op.batch_alter_table("wh_tanks", schema=None) as batch_op:
        batch_op.drop_index("ix_wh_tanks_custodian")

    op.drop_table("wh_tanks")
    with op.batch_alter_table("wh_receipts", schema=None) as batch_op:
        batch_op.drop_index("ix_wh_receipts_tank_id_state")
        batch_op.drop_index("ix_wh_receipts_owner")

    op.drop_table("wh_receipts")
    op.drop_table("vault_keys")
    with op.batch_alter_table("vault_fields", schema=None) as batch_op:
        batch_op.drop_index("ix_vault_fields_retention")

    op.drop_table("vault_fields")
    op.drop_table("vault_consents")
    with op.batch_alter_table("vault_commitments", schema=None) as batch_op:
        batch_op.drop_index("ix_vault_commitments_person")

    op.drop_table("vault_commitments")
    op.drop_table("unsealed")
    with op.batch_alter_table("timers", schema=None) as batch_op:
        batch_op.drop_index("ix_timers_due")

    op.drop_table("timers")
    op.drop_table("tf_valuations")
    with op.batch_alter_table("tf_pledges", schema=None) as batch_op:
        batch_op.drop_index("ix_tf_pledges_facility_id_state")

    op.drop_table("tf_pledges")
    with op.batch_alter_table("tf_loans", schema=None) as batch_op:
        batch_op.drop_index("ix_tf_loans_facility_id")

    op.drop_table("tf_loans")
    with op.batch_alter_table("tf_instructions", schema=None) as batch_op:
        batch_op.drop_index("ix_tf_instructions_facility_id")

    op.drop_table("tf_instructions")
    with op.batch_alter_table("tf_facilities", schema=None) as batch_op:
        batch_op.drop_index("ix_tf_facilities_series_state")
        batch_op.drop_index("ix_tf_facilities_lender")
        batch_op.drop_index("ix_tf_facilities_borrower")

    op.drop_table("tf_facilities")
    op.drop_table("signing_seals")
    with op.batch_alter_table("signing_keys", schema=None) as batch_op:
        batch_op.drop_index("ix_signing_keys_holder")

    op.drop_table("signing_keys")
    op.drop_table("signing_heads")
    op.drop_table("sign_in_accounts")
    with op.batch_alter_table("seals", schema=None) as batch_op:
        batch_op.drop_index("ix_seals_row")

    op.drop_table("seals")
    op.drop_table("role_assignments")
    with op.batch_alter_table("relations", schema=None) as batch_op:
        batch_op.drop_index("ix_relations_party")

    op.drop_table("relations")
    op.drop_table("region_demo")
    op.drop_table("prices")
    op.drop_table("price_series")
    op.drop_table("people")
    with op.batch_alter_table("organisations", schema=None) as batch_op:
        batch_op.drop_index("uq_organisations_credit_code")

    op.drop_table("organisations")
    op.drop_table("openid_subjects")
    with op.batch_alter_table("notices", schema=None) as batch_op:
        batch_op.drop_index("ix_notices_party")

    op.drop_table("notices")
    with op.batch_alter_table("notice_deliveries", schema=None) as batch_op:
        batch_op.drop_index("ix_notice_deliveries_due")
        batch_op.drop_index("ix_notice_deliveries_address")

    op.drop_table("notice_deliveries")
    with op.batch_alter_table("notice_addresses", schema=None) as batch_op:
        batch_op.drop_index("ix_notice_addresses_state")
        batch_op.drop_index("ix_notice_addresses_party")

    op.drop_table("notice_addresses")
    with op.batch_alter_table("ledger_transfers", schema=None) as batch_op:
        batch_op.drop_index("ix_ledger_transfers_debit")
        batch_op.drop_index("ix_ledger_transfers_credit")

    op.drop_table("ledger_transfers")
    with op.batch_alter_table("ledger_holds", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_ledger_holds_expiry",
            postgresql_where=sa.text("status = 'open' AND expires_at > 0"),
            sqlite_where=sa.text("status = 'open' AND expires_at > 0"),
        )
        batch_op.drop_index("ix_ledger_holds_account")

    op.drop_table("ledger_holds")
    with op.batch_alter_table("ledger_encumbrances", schema=None) as batch_op:
        batch_op.drop_index("ix_ledger_encumbrances_owner")
        batch_op.drop_index("ix_ledger_encumbrances_creditor")

    op.drop_table("ledger_encumbrances")
    op.drop_table("ledger_definitions")
    with op.batch_alter_table("ledger_batches", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_ledger_batches_key", postgresql_where=sa.text("key <> ''"), sqlite_where=sa.text("key <> ''")
        )
        batch_op.drop_index("ix_ledger_batches_at")

    op.drop_table("ledger_batches")
    op.drop_table("ledger_assets")
    with op.batch_alter_table("ledger_accounts", schema=None) as batch_op:
        batch_op.drop_index("ix_ledger_accounts_owner")
        batch_op.drop_index("ix_ledger_accounts_asset")

    op.drop_table("ledger_accounts")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index("ix_events_subject")

    op.drop_table("events")
    op.drop_table("event_subscriptions")
    op.drop_table("documents")
    with op.batch_alter_table("document_links", schema=None) as batch_op:
        batch_op.drop_index("ix_document_links_subject")

    op.drop_table("document_links")
    op.drop_table("devices")
    with op.batch_alter_table("credentials", schema=None) as batch_op:
        batch_op.drop_index("uq_credentials_token_hash")
        batch_op.drop_index("ix_credentials_person")

    op.drop_table("credentials")
    op.drop_table("credential_epochs")
    with op.batch_alter_table("cases", schema=None) as batch_op:
        batch_op.drop_index("ix_cases_party")
        batch_op.drop_index(
            "ix_cases_due",
            sqlite_where=sa.text("closed = 0 AND due_at < 4611686018427387903"),
            postgresql_where=sa.text("closed = 0 AND due_at < 4611686018427387903"),
        )

    op.drop_table("cases")
    op.drop_table("case_types")
    op.drop_table("case_entries")
    op.drop_table("calendar_notices")
    op.drop_table("blocks")
    with op.batch_alter_table("answered", schema=None) as batch_op:
        batch_op.drop_index("ix_answered_at")

    op.drop_table("answered")
    with op.batch_alter_table("alarms", schema=None) as batch_op:
        batch_op.drop_index("ix_alarms_device")

    op.drop_table("alarms")
