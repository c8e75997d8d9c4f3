-- Bytes that the repository of a project takes, as gitsync measured them at the last push. They are part of user_usage. Projects of older
-- installations have 0 until their next push.
ALTER TABLE projects ADD COLUMN stored_bytes bigint NOT NULL DEFAULT 0;
-- The deletion of a project asks for its experiments.
CREATE INDEX experiments_project ON experiments (project_uid);
ALTER TABLE removals DROP CONSTRAINT removals_kind_check;
ALTER TABLE removals ADD CONSTRAINT removals_kind_check CHECK (kind IN ('LOG', 'OUTPUT', 'REPOSITORY'));
