-- Who said that recipients whose reply was lost may stay uncertain: the broadcast is then complete without them.
ALTER TABLE broadcast ADD COLUMN uncertain_accepted_by text;
