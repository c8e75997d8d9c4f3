-- Titles of the steps that built an environment, and why it was built; empty: not known.
ALTER TABLE environments ADD COLUMN plan jsonb NOT NULL DEFAULT '[]';
ALTER TABLE environments ADD COLUMN built_because text NOT NULL DEFAULT '';
-- What was in the environment that an attempt started with; empty without one, and when it built the environment itself.
ALTER TABLE attempts ADD COLUMN environment_digest text NOT NULL DEFAULT '';
