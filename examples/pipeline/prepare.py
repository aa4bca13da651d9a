"""Make the bucket and the table of the example, and put 10,000 readings into the bucket, one in twenty in kelvin."""

from __future__ import annotations

import os

import boto3

READINGS = 10_000
TABLE = "pipeline-celsius"
bucket = os.environ.get("READINGS_BUCKET", "pipeline-readings")

s3, dynamodb = boto3.client("s3"), boto3.client("dynamodb")
if bucket not in [it["Name"] for it in s3.list_buckets()["Buckets"]]:
    region = s3.meta.region_name
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=bucket, **where)
units = [("K", 290.0) if number % 20 == 7 else ("F", 68.0) if number % 2 else ("C", 20.0) for number in range(READINGS)]
rows = [f"station-{number % 50},{number // 50},{degrees},{unit}" for number, (unit, degrees) in enumerate(units)]
s3.put_object(Bucket=bucket, Key="readings.csv", Body="\n".join(["station,hour,degrees,unit", *rows]).encode())
print(f"{READINGS} readings in s3://{bucket}/readings.csv, {sum(unit == 'K' for unit, _ in units)} of them in kelvin")

if TABLE not in dynamodb.list_tables()["TableNames"]:
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "station", "KeyType": "HASH"}, {"AttributeName": "hour", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "station", "AttributeType": "S"},
            {"AttributeName": "hour", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.get_waiter("table_exists").wait(TableName=TABLE)
print(f"table {TABLE}")
