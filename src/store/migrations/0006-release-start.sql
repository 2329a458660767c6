-- When a broadcast was first released: its deadline counts from then, whatever is stopped and started in between.

ALTER TABLE broadcast ADD COLUMN released_at timestamptz;
