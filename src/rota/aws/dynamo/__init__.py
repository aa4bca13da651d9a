"""Schedules, runs and the far tier in one DynamoDB table. `keys` says what lies where."""
