-- Whom a caller may write to, as an operator has declared it: blind indexes of addresses and nothing else.

CREATE TABLE declared_audience (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE,
  readers int NOT NULL,
  declared_by text NOT NULL,
  declared_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE declared_reader (
  audience bigint NOT NULL REFERENCES declared_audience ON DELETE CASCADE,
  address_index bytea NOT NULL,
  PRIMARY KEY (audience, address_index)
);
