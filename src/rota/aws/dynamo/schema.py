"""The one table of a stack."""

from __future__ import annotations

from typing import Any

PARTITION = "pk"
SORT = "sk"
EXPIRES = "expires"
"""The attribute, in epoch seconds, after which DynamoDB removes an item at no charge."""

TABLE: dict[str, Any] = {
    "AttributeDefinitions": [
        {"AttributeName": PARTITION, "AttributeType": "S"},
        {"AttributeName": SORT, "AttributeType": "S"},
    ],
    "KeySchema": [
        {"AttributeName": PARTITION, "KeyType": "HASH"},
        {"AttributeName": SORT, "KeyType": "RANGE"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
"""What create_table is called with, but for the name: the template and the tests make the same table."""


def create_table(client: Any, name: str) -> None:
    """Make the table, as the template does in a stack."""
    client.create_table(TableName=name, **TABLE)
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    ttl = {"Enabled": True, "AttributeName": EXPIRES}
    client.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
