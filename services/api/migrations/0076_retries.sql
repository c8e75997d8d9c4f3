-- Why an attempt ended, and when a job that has failed may be placed again.
ALTER TABLE attempts ADD COLUMN exit_class text NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN not_before timestamptz;
