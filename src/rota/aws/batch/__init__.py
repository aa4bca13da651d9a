"""Batches on AWS: planner, processors and finalizer as functions, with queues between them and a ledger in DynamoDB."""
