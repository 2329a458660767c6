-- By what each serving process lets mail leave: a halt waits for all of them.

-- Worth nothing after a crash, and written a few times a second.
CREATE UNLOGGED TABLE process_look (
  sender    text PRIMARY KEY,
  -- When it began the look that it goes by, at the latest; so long after that it goes by none.
  leased_at timestamptz NOT NULL,
  -- What was committed by then is in force there.
  seen_at   timestamptz NOT NULL
);
