-- The operators' page: sign-in links that are good once, and sessions. Only hashes of what proves who somebody is.

CREATE TABLE console_link (
  hash bytea PRIMARY KEY,
  operator text NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);

CREATE TABLE console_session (
  hash bytea PRIMARY KEY,
  operator text NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT now(),
  used_at timestamptz NOT NULL DEFAULT now()
);
