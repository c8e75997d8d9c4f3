-- Bytes that outputs and logs take. Of an attempt: as its node has measured them at its end; NULL: not reported. Of a root: all below it,
-- with what the children of a set share. Of a user: what a quota is held against, the sum over roots and logs.
ALTER TABLE attempts ADD COLUMN output_bytes bigint;
ALTER TABLE experiments ADD COLUMN output_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE experiments ADD COLUMN shared_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE experiments ADD COLUMN output_at_least boolean NOT NULL DEFAULT false;
ALTER TABLE users ADD COLUMN stored_bytes bigint NOT NULL DEFAULT 0;
UPDATE users u SET stored_bytes = l.bytes FROM (SELECT e.user_uid, sum(a.log_bytes) AS bytes FROM attempts a JOIN jobs j ON j.uid = a.job_uid
  JOIN experiments e ON e.uid = j.experiment_uid GROUP BY e.user_uid) l WHERE l.user_uid = u.uid;
