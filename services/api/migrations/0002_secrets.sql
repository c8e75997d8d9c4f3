-- Secrets of users, encrypted with the key file of the installation. `project` is empty for a secret of all projects.
CREATE TABLE secrets (
  user_uid uuid NOT NULL REFERENCES users,
  project text NOT NULL DEFAULT '',
  name text NOT NULL,
  sealed bytea NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  update_time timestamptz NOT NULL DEFAULT now(),
  use_time timestamptz,
  PRIMARY KEY (user_uid, project, name)
);
