-- How many items the latest redrive of a batch run attempts again.
ALTER TABLE batch_runs ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
