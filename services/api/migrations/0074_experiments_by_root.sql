-- What is below a root, the root itself included, is found by the root's UUID: without its row in the index each
-- creation, kill and watch read the whole table.
CREATE INDEX experiments_root ON experiments (root_uid, child);
DROP INDEX experiments_children;
