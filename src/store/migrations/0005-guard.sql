-- What the guard decided. About 100 bytes a row, no evidence, no address; one ledger entry stands for a batch of them.

CREATE TABLE verdict (
  id text NOT NULL,
  at timestamptz NOT NULL,
  gate text NOT NULL,
  identity text NOT NULL,
  verdict text NOT NULL,
  reasons text[] NOT NULL,
  readers int NOT NULL,
  disclosures bigint NOT NULL,
  batch bigint NOT NULL,
  line int NOT NULL
) PARTITION BY RANGE (at);
CREATE TABLE verdict_default PARTITION OF verdict DEFAULT;
CREATE INDEX ON verdict (batch, line);
CREATE SEQUENCE verdict_batch;
