-- Children of each set by their state, kept with every change of one: counting them anew at each step made a set of n
-- cost n².
CREATE TABLE child_counts (
  root_uid uuid NOT NULL,
  state text NOT NULL,
  count int NOT NULL,
  PRIMARY KEY (root_uid, state)
) WITH (fillfactor = 70);
INSERT INTO child_counts (root_uid, state, count)
  SELECT root_uid, state, count(*) FROM experiments WHERE child > 0 GROUP BY root_uid, state;
