-- Whose outputs an experiment reads: they are kept as long as it is.
CREATE TABLE experiment_inputs (
  root_uid uuid NOT NULL REFERENCES experiments,
  name text NOT NULL,
  input_uid uuid NOT NULL REFERENCES experiments,
  PRIMARY KEY (root_uid, name)
);
CREATE INDEX experiment_inputs_used ON experiment_inputs (input_uid);
