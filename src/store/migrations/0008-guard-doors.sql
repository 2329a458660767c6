-- What the guard keeps for later, what it counts over many calls, and what it has frozen.

ALTER TABLE verdict ADD COLUMN mode text NOT NULL DEFAULT 'enforce';
ALTER TABLE verdict ADD COLUMN action text NOT NULL DEFAULT '';
ALTER TABLE verdict ADD COLUMN campaign bigint;
CREATE INDEX ON verdict (at);

-- A call that is split or held: sealed whole, cut into deliveries by its gate. In clear: who, where, how many, never whom.
CREATE TABLE kept (
  id text PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  gate text NOT NULL,
  identity text NOT NULL,
  -- split: on its way at once; hold: waits for people.
  kind text NOT NULL CHECK (kind IN ('split', 'hold')),
  -- private: one copy per reader; whole: as it came.
  cut text NOT NULL CHECK (cut IN ('private', 'whole')),
  state text NOT NULL CHECK (state IN ('held', 'sending', 'done', 'refused', 'expired')),
  verdict text NOT NULL,
  reasons text[] NOT NULL,
  campaign bigint,
  readers int NOT NULL,
  disclosures bigint NOT NULL,
  -- Keyed hash of identity, envelope and content: a caller's retry is this call again.
  fingerprint bytea NOT NULL,
  -- Null once everything is delivered and a retry would no longer be recognised.
  sealed bytea,
  expires_at timestamptz,
  asked_by text,
  decided_by text,
  decided_at timestamptz,
  next_at timestamptz NOT NULL DEFAULT now(),
  claimed_by text,
  claimed_until timestamptz
);
CREATE INDEX ON kept (fingerprint, at);
CREATE INDEX ON kept (next_at) WHERE state = 'sending';
CREATE INDEX ON kept (at) WHERE state = 'held';
CREATE INDEX ON kept (next_at) WHERE sealed IS NOT NULL;

CREATE TABLE kept_delivery (
  kept text NOT NULL REFERENCES kept ON DELETE CASCADE,
  number int NOT NULL,
  readers int NOT NULL,
  state text NOT NULL DEFAULT 'waiting'
    CHECK (state IN ('waiting', 'sending', 'accepted', 'refused', 'expired', 'uncertain')),
  attempts int NOT NULL DEFAULT 0,
  -- The next hop's or the provider's own id; what a reply code said, without its text.
  upstream_id text,
  answer text,
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (kept, number)
);
CREATE INDEX ON kept_delivery (upstream_id) WHERE upstream_id IS NOT NULL;

-- Mail of one identity that says nearly the same: 64 bits that differ little where texts differ little.
CREATE TABLE campaign (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  identity text NOT NULL,
  simhash bigint NOT NULL,
  first_at timestamptz NOT NULL DEFAULT now(),
  last_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON campaign (identity, last_at);

-- Who was shown to whom over many calls: keyed hashes, forgotten after the window.
CREATE TABLE exposed_person (
  identity text NOT NULL,
  campaign bigint NOT NULL,
  person bytea NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (identity, campaign, person)
);
CREATE INDEX ON exposed_person (at);

CREATE TABLE mail_freeze (
  id text PRIMARY KEY,
  identity text NOT NULL,
  -- Null: everything of this identity.
  campaign bigint,
  simhash bigint,
  reason text NOT NULL,
  frozen_by text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  lifted_by text,
  lifted_at timestamptz
);
CREATE INDEX ON mail_freeze (identity) WHERE lifted_at IS NULL;

-- Declared audiences and usual sizes are learnt per identity: the sizes of its calls.
CREATE TABLE usual_size (
  identity text PRIMARY KEY,
  calls bigint NOT NULL,
  readers_max int NOT NULL,
  readers_p95 int NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now()
);
