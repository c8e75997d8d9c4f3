-- Credentials for registries of base images; passwords are encrypted with the key file of the installation. Without a
-- user a credential is for all users.
CREATE TABLE registry_credentials (
  user_uid uuid REFERENCES users,
  host text NOT NULL,
  username text NOT NULL,
  sealed bytea NOT NULL,
  update_time timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX registry_credentials_owner ON registry_credentials (coalesce(user_uid::text, ''), host);
