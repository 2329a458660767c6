-- What happened. Nothing here is ever changed or removed; the triggers refuse it.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

-- One row per deed, written in the deed's own transaction. kind and subject repeat what bytes says, for finding.
CREATE TABLE ledger_entry (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  kind text NOT NULL,
  subject text NOT NULL,
  bytes text NOT NULL
);
CREATE INDEX ledger_entry_xid ON ledger_entry (xid);
CREATE INDEX ledger_entry_subject ON ledger_entry (subject, id);
CREATE INDEX ledger_entry_kind ON ledger_entry (kind, id);

-- The place of an entry in the tree, given after its commit: in-flight transactions leave no gaps.
CREATE TABLE ledger_leaf (
  leaf_index bigint PRIMARY KEY,
  entry_id bigint NOT NULL UNIQUE REFERENCES ledger_entry,
  leaf_hash bytea NOT NULL
);

-- Signed notes (C2SP tlog-checkpoint).
CREATE TABLE ledger_checkpoint (
  size bigint PRIMARY KEY,
  root bytea NOT NULL,
  at timestamptz NOT NULL,
  note text NOT NULL
);

-- What it takes to go on from the last checkpoint; derived from ledger_leaf, checked against the checkpoint's root.
CREATE TABLE ledger_tree (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  size bigint NOT NULL,
  frontier bytea NOT NULL
);
INSERT INTO ledger_tree (size, frontier) VALUES (0, '');

-- How far each outside place has taken the checkpoints.
CREATE TABLE ledger_anchor (
  name text PRIMARY KEY,
  size bigint NOT NULL DEFAULT 0,
  taken_at timestamptz,
  failed_at timestamptz,
  failure text
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_leaf
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_checkpoint
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
