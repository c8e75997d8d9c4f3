-- Who asked for the end of a job that had an attempt then; empty: nobody.
ALTER TABLE jobs ADD COLUMN killed_by text NOT NULL DEFAULT '';
