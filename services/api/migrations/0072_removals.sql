-- What stores have to remove of deleted experiments; a row goes when its store has reported it.
CREATE TABLE removals (
  kind text NOT NULL CHECK (kind IN ('LOG', 'OUTPUT')),
  item text NOT NULL,
  number bigserial NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (kind, item)
);
CREATE INDEX removals_order ON removals (kind, number);
