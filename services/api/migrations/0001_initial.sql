-- State of record. States are stored by name; every change of a state also writes a row of transitions and of feed.

CREATE TABLE cluster (
  uid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  only_row boolean NOT NULL DEFAULT true UNIQUE CHECK (only_row)
);
INSERT INTO cluster DEFAULT VALUES;

CREATE TABLE users (
  uid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL UNIQUE,
  email text NOT NULL,
  role text NOT NULL CHECK (role IN ('VIEWER', 'USER', 'ADMIN')),
  enabled boolean NOT NULL DEFAULT true,
  last_experiment bigint NOT NULL DEFAULT 0,
  create_time timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
  id text PRIMARY KEY,
  user_uid uuid NOT NULL REFERENCES users,
  secret_hash bytea NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  expire_time timestamptz,
  revoke_time timestamptz,
  last_use_time timestamptz
);
CREATE INDEX api_keys_user ON api_keys (user_uid);

CREATE TABLE projects (
  uid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_uid uuid NOT NULL REFERENCES users,
  name text NOT NULL,
  slug text NOT NULL,
  head text NOT NULL DEFAULT '',
  last_revision bigint NOT NULL DEFAULT 0,
  create_time timestamptz NOT NULL DEFAULT now(),
  UNIQUE (user_uid, name)
);

CREATE TABLE revisions (
  project_uid uuid NOT NULL REFERENCES projects,
  number bigint NOT NULL,
  commit_id text NOT NULL,
  tree_id text NOT NULL,
  file_count bigint NOT NULL,
  total_bytes bigint NOT NULL,
  snapshot_window_ms bigint NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_uid, commit_id),
  UNIQUE (project_uid, number)
);

CREATE TABLE environments (
  key text PRIMARY KEY,
  state text NOT NULL CHECK (state IN ('BUILDING', 'READY', 'FAILED')),
  build_job uuid NOT NULL,
  update_time timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE experiments (
  uid uuid PRIMARY KEY,
  root_uid uuid NOT NULL,  -- itself, or the set it is a child of
  user_uid uuid NOT NULL REFERENCES users,
  number bigint NOT NULL,
  child bigint NOT NULL DEFAULT 0,
  kind text NOT NULL CHECK (kind IN ('EXPERIMENT', 'SET')),
  project_uid uuid NOT NULL REFERENCES projects,
  commit_id text NOT NULL,
  tree_id text NOT NULL,
  state text NOT NULL
    CHECK (state IN ('CREATED', 'BUILDING', 'PENDING', 'STARTING', 'RUNNING', 'FINISHED', 'FAILED', 'KILLED')),
  kill_wanted boolean NOT NULL DEFAULT false,
  reason text NOT NULL DEFAULT '',
  message text NOT NULL DEFAULT '',
  spec bytea,                         -- riseml.v1.TrainSpec; of children: the one of their set
  config_text text NOT NULL DEFAULT '',
  parameters jsonb NOT NULL DEFAULT '{}',
  result jsonb NOT NULL DEFAULT '{}',
  concurrency int NOT NULL DEFAULT 1,
  child_count int NOT NULL DEFAULT 0,
  labels jsonb NOT NULL DEFAULT '{}',
  display_name text NOT NULL DEFAULT '',
  description text NOT NULL DEFAULT '',
  client_version text NOT NULL DEFAULT '',
  version bigint NOT NULL DEFAULT 1,
  create_time timestamptz NOT NULL DEFAULT now(),
  start_time timestamptz,
  run_time timestamptz,
  end_time timestamptz,
  UNIQUE (user_uid, number, child)
) WITH (fillfactor = 80);
CREATE INDEX experiments_children ON experiments (root_uid, child) WHERE child > 0;
CREATE INDEX experiments_roots ON experiments (user_uid, number DESC) WHERE child = 0;
CREATE INDEX experiments_all_roots ON experiments (create_time DESC, uid) WHERE child = 0;

CREATE TABLE jobs (
  uid uuid PRIMARY KEY,
  experiment_uid uuid NOT NULL,
  root_uid uuid NOT NULL,
  sequence bigserial NOT NULL,
  role text NOT NULL,
  name text NOT NULL,
  state text NOT NULL
    CHECK (state IN ('CREATED', 'PENDING', 'STARTING', 'RUNNING', 'SERVING', 'FINISHED', 'FAILED', 'KILLED')),
  kill_wanted boolean NOT NULL DEFAULT false,
  reason text NOT NULL DEFAULT '',
  message text NOT NULL DEFAULT '',
  exit_code int,
  cpus double precision NOT NULL,
  memory_mb double precision NOT NULL,
  gpus int NOT NULL,
  attempt_count int NOT NULL DEFAULT 0,
  wait_reason text NOT NULL DEFAULT '',
  wait_message text NOT NULL DEFAULT '',
  version bigint NOT NULL DEFAULT 1,
  create_time timestamptz NOT NULL DEFAULT now(),
  start_time timestamptz,
  end_time timestamptz,
  UNIQUE (experiment_uid, name)
) WITH (fillfactor = 80);
CREATE INDEX jobs_live ON jobs (sequence) WHERE state IN ('PENDING', 'STARTING', 'RUNNING', 'SERVING');
CREATE INDEX jobs_root ON jobs (root_uid);

CREATE TABLE attempts (
  job_uid uuid NOT NULL REFERENCES jobs,
  number int NOT NULL,
  state text NOT NULL CHECK (state IN ('STARTING', 'RUNNING', 'SUSPENDED', 'FINISHED', 'FAILED', 'KILLED')),
  node text NOT NULL,
  gpu_uuids text NOT NULL DEFAULT '',  -- joined by commas
  epoch bigint NOT NULL,
  environment_key text NOT NULL DEFAULT '',
  reason text NOT NULL DEFAULT '',
  message text NOT NULL DEFAULT '',
  exit_code int,
  log_state text NOT NULL DEFAULT 'OPEN' CHECK (log_state IN ('OPEN', 'COMPLETE', 'TRUNCATED')),
  log_bytes bigint NOT NULL DEFAULT 0,
  result_sequence bigint NOT NULL DEFAULT 0,
  create_time timestamptz NOT NULL DEFAULT now(),
  start_time timestamptz,
  end_time timestamptz,
  PRIMARY KEY (job_uid, number)
);
CREATE UNIQUE INDEX attempts_one_live ON attempts (job_uid) WHERE state IN ('STARTING', 'RUNNING', 'SUSPENDED');
CREATE INDEX attempts_open_logs ON attempts (job_uid) WHERE log_state = 'OPEN';

CREATE TABLE transitions (
  id bigserial PRIMARY KEY,
  root_uid uuid NOT NULL,
  object text NOT NULL,
  attempt int NOT NULL DEFAULT 0,
  from_state text NOT NULL,
  to_state text NOT NULL,
  reason text NOT NULL DEFAULT '',
  message text NOT NULL DEFAULT '',
  exit_code int,
  actor text NOT NULL,
  time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX transitions_root ON transitions (root_uid, id);

CREATE TABLE feed (
  id bigserial PRIMARY KEY,
  tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
  root_uid uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('EXPERIMENT', 'JOB', 'ALL')),
  uid uuid,
  time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX feed_order ON feed (tx, id);

CREATE TABLE requests (
  user_uid uuid NOT NULL REFERENCES users,
  request_id uuid NOT NULL,
  method text NOT NULL,
  argument_hash bytea NOT NULL,
  resource text NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_uid, request_id)
);
CREATE INDEX requests_age ON requests (create_time);

CREATE TABLE audit (
  id bigserial PRIMARY KEY,
  time timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL,
  key_id text NOT NULL,
  peer text NOT NULL,
  method text NOT NULL,
  object text NOT NULL,
  request_id text NOT NULL
);

CREATE TABLE leadership (
  name text PRIMARY KEY,
  holder text NOT NULL,
  epoch bigint NOT NULL,
  expire_time timestamptz NOT NULL
);

CREATE TABLE nodes (
  name text PRIMARY KEY,
  content bytea NOT NULL,  -- riseml.v1.Node
  update_time timestamptz NOT NULL DEFAULT now()
);

-- A final state never changes, whatever the code above it believes.
CREATE FUNCTION refuse_leaving_final_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state IN ('FINISHED', 'FAILED', 'KILLED') AND NEW.state <> OLD.state THEN
    RAISE EXCEPTION '% % is % and cannot become %', TG_TABLE_NAME, OLD, OLD.state, NEW.state;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER experiments_final BEFORE UPDATE OF state ON experiments
  FOR EACH ROW EXECUTE FUNCTION refuse_leaving_final_state();
CREATE TRIGGER jobs_final BEFORE UPDATE OF state ON jobs FOR EACH ROW EXECUTE FUNCTION refuse_leaving_final_state();
CREATE TRIGGER attempts_final BEFORE UPDATE OF state ON attempts FOR EACH ROW EXECUTE FUNCTION refuse_leaving_final_state();
