-- One message to many people, in stages. Nothing here is updated per recipient; partitions are dropped whole.

CREATE TABLE notice (
  digest bytea PRIMARY KEY,
  files jsonb NOT NULL
);

CREATE TABLE broadcast (
  id text PRIMARY KEY,
  name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  created_by text NOT NULL,
  notice_digest bytea NOT NULL REFERENCES notice,
  notice_folder text NOT NULL,
  state text NOT NULL,
  settings jsonb NOT NULL,
  audience_count int,
  audience_digest bytea,
  plan jsonb,
  manifest_root bytea,
  prepared_by text[] NOT NULL DEFAULT '{}',
  stands_because text
);

-- Frozen recipients in release order.
CREATE TABLE audience_row (
  broadcast_id text NOT NULL,
  position int NOT NULL,
  kind smallint NOT NULL,
  language text NOT NULL,
  provider text NOT NULL,
  ring smallint NOT NULL,
  address_index bytea NOT NULL,
  sealed bytea NOT NULL
) PARTITION BY LIST (broadcast_id);

-- Prepared messages: the leaf in clear, the slots sealed.
CREATE TABLE prepared (
  broadcast_id text NOT NULL,
  position int NOT NULL,
  leaf bytea NOT NULL,
  sealed bytea NOT NULL
) PARTITION BY LIST (broadcast_id);

-- Date and DKIM-Signature of one signing run, sealed.
CREATE TABLE signed (
  broadcast_id text NOT NULL,
  position int NOT NULL,
  run int NOT NULL,
  leaf bytea NOT NULL,
  sealed bytea NOT NULL
) PARTITION BY LIST (broadcast_id);

CREATE TABLE signing_run (
  broadcast_id text NOT NULL,
  run int NOT NULL,
  ring smallint NOT NULL,
  signed_at timestamptz NOT NULL,
  selector text NOT NULL,
  first int NOT NULL,
  count int NOT NULL,
  root bytea NOT NULL,
  PRIMARY KEY (broadcast_id, run)
);

-- The part of a block that a signing run covers; the run's root stands over these.
CREATE TABLE signing_block (
  broadcast_id text NOT NULL,
  run int NOT NULL,
  block int NOT NULL,
  first int NOT NULL,
  count int NOT NULL,
  root bytea NOT NULL,
  PRIMARY KEY (broadcast_id, run, block)
);

-- An aligned block of 1,024 leaves: the root of its subtree. Its presence says that the block is prepared.
CREATE TABLE prepared_block (
  broadcast_id text NOT NULL,
  block int NOT NULL,
  count int NOT NULL,
  root bytea NOT NULL,
  PRIMARY KEY (broadcast_id, block)
);

-- A block, or the part of one that lies in one ring and provider; or a list of deferred positions.
CREATE TABLE chunk (
  broadcast_id text NOT NULL,
  chunk int NOT NULL,
  ring smallint NOT NULL,
  provider text NOT NULL,
  first int NOT NULL,
  count int NOT NULL,
  positions int[],
  attempt int NOT NULL DEFAULT 1,
  not_before timestamptz,
  state text NOT NULL DEFAULT 'waiting',
  owner text,
  epoch int NOT NULL DEFAULT 0,
  PRIMARY KEY (broadcast_id, chunk)
);

-- What became of each attempt. The last row of a position gives its state.
CREATE TABLE outcome (
  broadcast_id text NOT NULL,
  position int NOT NULL,
  attempt smallint NOT NULL,
  state smallint NOT NULL,
  code smallint NOT NULL,
  enhanced text NOT NULL,
  reply text NOT NULL,
  sealed_reply bytea,
  at timestamptz NOT NULL,
  batch int NOT NULL,
  line int NOT NULL
) PARTITION BY LIST (broadcast_id);

-- People left out after approval, with the reason.
CREATE TABLE left_out (
  broadcast_id text NOT NULL,
  address_index bytea NOT NULL,
  reason text NOT NULL,
  by text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (broadcast_id, address_index)
);

CREATE TABLE approval (
  broadcast_id text PRIMARY KEY,
  document jsonb NOT NULL,
  envelope jsonb NOT NULL,
  approved_at timestamptz NOT NULL DEFAULT now()
);

-- The permit of a broadcast's sender: renewed every 100 ms, good for 500 ms, and it names the positions it covers
-- as pairs first, last. Only its holder may write; another sender takes over when it has run out.
CREATE TABLE permit (
  broadcast_id text PRIMARY KEY,
  sender text NOT NULL,
  epoch int NOT NULL,
  granted_at timestamptz NOT NULL,
  covered int[] NOT NULL
);

CREATE TABLE halt (
  id text PRIMARY KEY,
  scope text NOT NULL,
  broadcast_id text,
  by text NOT NULL,
  reason text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  resume_by text[] NOT NULL DEFAULT '{}',
  lifted_at timestamptz
);
