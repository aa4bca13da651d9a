"""Put 10,000 orders into S3 as one JSON file, some of them in a currency that nobody knows a rate for."""

from __future__ import annotations

import argparse
import json
import os

import boto3

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--failing", type=int, default=40, help="of every 100 orders")
parser.add_argument("--orders", type=int, default=10_000)
given = parser.parse_args()
bucket = os.environ.get("ORDERS_BUCKET", "map-json-orders")

s3 = boto3.client("s3")
if bucket not in [it["Name"] for it in s3.list_buckets()["Buckets"]]:
    region = s3.meta.region_name
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=bucket, **where)
orders = [
    {"id": number, "amount": number / 8, "currency": "USD" if number % 100 < given.failing else "EUR"}
    for number in range(given.orders)
]
s3.put_object(Bucket=bucket, Key="orders.json", Body=json.dumps(orders).encode())
failing = sum(order["currency"] == "USD" for order in orders)
print(f"{len(orders)} orders in s3://{bucket}/orders.json, {failing} of them in USD")
