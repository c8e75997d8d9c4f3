-- Sets that are being killed: few at any time, looked for at each start.
CREATE INDEX experiments_open_kills ON experiments (uid)
  WHERE child = 0 AND kill_wanted AND kind = 'SET' AND state NOT IN ('FINISHED', 'FAILED', 'KILLED');
