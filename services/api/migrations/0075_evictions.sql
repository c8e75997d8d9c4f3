-- Why the scheduler takes the resources of an attempt away; empty: it does not. Once it has stopped, its job waits again.
ALTER TABLE attempts
  ADD COLUMN eviction_reason text NOT NULL DEFAULT '',
  ADD COLUMN eviction_message text NOT NULL DEFAULT '';
