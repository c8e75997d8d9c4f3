-- Environments are known with their owner and last use. One that was removed is remembered, so that no job starts with it before it is
-- built again.
ALTER TABLE environments DROP CONSTRAINT environments_state_check;
ALTER TABLE environments ADD CONSTRAINT environments_state_check CHECK (state IN ('BUILDING', 'READY', 'FAILED', 'REMOVED'));
ALTER TABLE environments ADD COLUMN user_uid uuid REFERENCES users;
ALTER TABLE environments ADD COLUMN last_use_time timestamptz;
CREATE INDEX attempts_environment ON attempts (environment_key) WHERE environment_key <> '';
