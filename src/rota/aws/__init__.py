"""The engine on AWS: Lambda, SQS, DynamoDB, Step Functions, EventBridge."""
