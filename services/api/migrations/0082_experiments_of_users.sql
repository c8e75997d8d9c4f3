-- Experiments of a user that exist, children of sets included: what a quota is held against.
ALTER TABLE users ADD COLUMN experiments bigint NOT NULL DEFAULT 0;
UPDATE users u SET experiments = e.count FROM (SELECT user_uid, count(*) FROM experiments GROUP BY user_uid) e WHERE e.user_uid = u.uid;
