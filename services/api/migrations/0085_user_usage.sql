-- The bytes that a user keeps have a row of their own. In the row of the user every log that ended waited for the creation of a large set,
-- and with it the scheduler's report of other users' jobs.
CREATE TABLE user_usage (
  user_uid uuid PRIMARY KEY REFERENCES users (uid) ON DELETE CASCADE,
  stored_bytes bigint NOT NULL DEFAULT 0
);
INSERT INTO user_usage (user_uid, stored_bytes) SELECT uid, stored_bytes FROM users;
ALTER TABLE users DROP COLUMN stored_bytes;
