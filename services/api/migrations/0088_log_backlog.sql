-- Part of the log of an attempt that waits on its node to be stored, as the node has reported it; no time: none.
ALTER TABLE attempts
  ADD COLUMN log_backlog_bytes bigint NOT NULL DEFAULT 0,
  ADD COLUMN log_backlog_lost_bytes bigint NOT NULL DEFAULT 0,
  ADD COLUMN log_backlog_since timestamptz;
