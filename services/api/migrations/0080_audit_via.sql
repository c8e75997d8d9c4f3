-- The service that acted for the user; empty: the user himself. Hashes of the chain cover it where it is not empty, so that those of
-- older rows stay what they are.
ALTER TABLE audit ADD COLUMN via text NOT NULL DEFAULT '';
