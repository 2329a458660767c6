-- People with key pairs, and the data keys that the keyring's kek wraps.

CREATE TABLE operator (
  id text PRIMARY KEY,
  public_key bytea NOT NULL,
  added_at timestamptz NOT NULL DEFAULT now(),
  removed_at timestamptz
);

-- Enrolling or removing someone waits here for its second operator.
CREATE TABLE operator_request (
  id text NOT NULL,
  deed text NOT NULL CHECK (deed IN ('add', 'remove')),
  public_key bytea NOT NULL,
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, deed)
);

-- Signed requests are good once: a nonce seen twice is refused.
CREATE TABLE request_nonce (
  nonce text PRIMARY KEY,
  seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE data_key (
  name text PRIMARY KEY,
  kek_version int NOT NULL,
  wrapped bytea NOT NULL
);
