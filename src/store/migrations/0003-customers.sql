-- The standing register. In clear beside a sealed row stand only its kind and language; the indexes are keyed hashes.

CREATE TABLE customer (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  record_index bytea NOT NULL UNIQUE,
  address_index bytea NOT NULL,
  data_index bytea NOT NULL,
  version int NOT NULL DEFAULT 1,
  kind smallint NOT NULL,
  language text NOT NULL,
  sealed bytea NOT NULL
);
CREATE INDEX customer_address ON customer (address_index);

CREATE TABLE suppression (
  address_index bytea PRIMARY KEY,
  reason text NOT NULL,
  added_by text NOT NULL,
  added_at timestamptz NOT NULL DEFAULT now()
);

-- Who brought data in: they may not approve what goes out with it.
CREATE TABLE customer_import (
  id text PRIMARY KEY,
  operator text NOT NULL,
  imported_at timestamptz NOT NULL DEFAULT now(),
  added int NOT NULL,
  changed int NOT NULL,
  unchanged int NOT NULL,
  rejected int NOT NULL
);
