-- What `riseml status` lists: few of all experiments, for one user or for all.
CREATE INDEX experiments_unfinished_roots ON experiments (user_uid, number DESC)
  WHERE child = 0 AND state NOT IN ('FINISHED', 'FAILED', 'KILLED');
CREATE INDEX experiments_all_unfinished_roots ON experiments (create_time DESC, uid)
  WHERE child = 0 AND state NOT IN ('FINISHED', 'FAILED', 'KILLED');
