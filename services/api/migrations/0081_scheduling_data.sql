-- Memory in bytes everywhere. What gangs need: the place of a job among the members of its role, and the gang it starts with.
ALTER TABLE jobs ALTER COLUMN memory_mb TYPE bigint USING ceil(memory_mb * 1000000)::bigint;
ALTER TABLE jobs RENAME COLUMN memory_mb TO memory_bytes;
ALTER TABLE jobs ADD COLUMN member_index int NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN member_count int NOT NULL DEFAULT 1;
ALTER TABLE jobs ADD COLUMN gang uuid;
