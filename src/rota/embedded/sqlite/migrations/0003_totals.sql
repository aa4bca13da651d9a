-- How many items a batch run has in all, as far as is known before its end; counted: exactly.
ALTER TABLE batch_runs ADD COLUMN about INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_runs ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
