-- Usual sizes of each type of an identity's calls; the empty type is the identity's own. A type is a keyed hash.

ALTER TABLE usual_size ADD COLUMN type text NOT NULL DEFAULT '';
ALTER TABLE usual_size DROP CONSTRAINT usual_size_pkey;
ALTER TABLE usual_size ADD PRIMARY KEY (identity, type);
