-- The audit log lies in one partition for each month, so that an old month goes as a whole.
CREATE FUNCTION make_audit_month(month timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  first timestamptz := date_trunc('month', month, 'UTC');
  name text := 'audit_' || to_char(first AT TIME ZONE 'UTC', 'YYYY_MM');
BEGIN
  IF to_regclass(name) IS NULL THEN
    EXECUTE format('CREATE TABLE %I PARTITION OF audit FOR VALUES FROM (%L) TO (%L)', name, first,
                   date_trunc('month', first + interval '32 days', 'UTC'));
  END IF;
END $$;

ALTER TABLE audit RENAME TO audit_before;
ALTER INDEX audit_pkey RENAME TO audit_before_pkey;
CREATE TABLE audit (
  id bigint NOT NULL DEFAULT nextval('audit_id_seq'),
  time timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL,
  key_id text NOT NULL,
  peer text NOT NULL,
  method text NOT NULL,
  object text NOT NULL,
  request_id text NOT NULL,
  PRIMARY KEY (time, id)
) PARTITION BY RANGE (time);
SELECT make_audit_month(month) FROM generate_series(
  date_trunc('month', COALESCE((SELECT min(time) FROM audit_before), now()), 'UTC'), now() + interval '62 days', interval '28 days') month;
INSERT INTO audit (id, time, actor, key_id, peer, method, object, request_id)
  SELECT id, time, actor, key_id, peer, method, object, request_id FROM audit_before;
ALTER SEQUENCE audit_id_seq OWNED BY audit.id;
DROP TABLE audit_before;

-- Links of a chain of hashes over the audit log, made behind the transactions that write it. A link covers the rows behind those of the
-- link before it, up to and including (until_time, until_id) in the order of (time, id), and never those of two months.
CREATE TABLE audit_chain (
  number bigint PRIMARY KEY,
  until_time timestamptz NOT NULL,
  until_id bigint NOT NULL,
  rows bigint NOT NULL,  -- 0: they have gone with their month
  hash bytea NOT NULL  -- SHA-256 of the hash of the link before and of the rows
);
