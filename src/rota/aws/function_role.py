"""The IAM role of a function made on the fly: it may write its own log, and nothing else.

What else the function needs, its owner adds to the role, or gives a role of his own. The log group is made here too, so
that the role need not be allowed to make any, and so that its log does not stay forever.
"""

from __future__ import annotations

from typing import Any

import msgspec
from botocore.exceptions import ClientError

from rota.aws.function import OWNED
from rota.aws.sessions import translating
from rota.connectors.aws_errors import code_of
from rota.core.errors import ExistsError

_PREFIX = "rota-fn-"
_POLICY = "own-log"
_RETENTION_DAYS = 30
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def role_name(function: str) -> str:
    return _PREFIX + function


def _log_group(function: str) -> str:
    return f"/aws/lambda/{function}"


def ensure_role(iam: Any, logs: Any, function: str) -> tuple[str, bool]:
    """The ARN of the function's role, made if need be, with its log group; and whether it was made now.

    ExistsError if there is a role of that name that rota did not make."""
    name, made = role_name(function), True
    with translating("iam", function=function):
        try:
            role = iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=msgspec.json.encode(_TRUST).decode(),
                Description=f"Of the Lambda function {function}, made by rota",
                Tags=[{"Key": OWNED, "Value": function}],
            )["Role"]
        except ClientError as error:
            if code_of(error) != "EntityAlreadyExists":
                raise
            role, made = iam.get_role(RoleName=name)["Role"], False
            if not _is_ours(role, function):
                hint = "rota did not make it, so it is left alone; give a role with --role"
                raise ExistsError("role", name, hint) from None
        policy = msgspec.json.encode(_policy(role["Arn"], logs.meta.region_name, function)).decode()
        iam.put_role_policy(RoleName=name, PolicyName=_POLICY, PolicyDocument=policy)
    with translating("logs", function=function):
        try:
            logs.create_log_group(logGroupName=_log_group(function), tags={OWNED: function})
        except ClientError as error:
            if code_of(error) != "ResourceAlreadyExistsException":
                raise
        logs.put_retention_policy(logGroupName=_log_group(function), retentionInDays=_RETENTION_DAYS)
    return str(role["Arn"]), made


def remove_role(iam: Any, logs: Any, function: str) -> list[str]:
    """Remove the function's role and log group, if rota made them; answers what was removed, in words."""
    removed: list[str] = []
    name = role_name(function)
    with translating("iam", function=function):
        try:
            ours = _is_ours(iam.get_role(RoleName=name)["Role"], function)
            if ours:
                # What its owner attached goes with it: IAM refuses to delete a role that has anything.
                for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=name):
                    for policy in page["AttachedPolicies"]:
                        iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
                for page in iam.get_paginator("list_role_policies").paginate(RoleName=name):
                    for policy in page["PolicyNames"]:
                        iam.delete_role_policy(RoleName=name, PolicyName=policy)
                iam.delete_role(RoleName=name)
                removed.append(f"role {name}")
        except ClientError as error:
            if code_of(error) != "NoSuchEntity":
                raise
            ours = False
    if ours:
        with translating("logs", function=function):
            try:
                logs.delete_log_group(logGroupName=_log_group(function))
                removed.append(f"log group {_log_group(function)}")
            except ClientError as error:
                if code_of(error) != "ResourceNotFoundException":
                    raise
    return removed


def _is_ours(role: dict[str, Any], function: str) -> bool:
    return {"Key": OWNED, "Value": function} in role.get("Tags", [])


def _policy(role: str, region: str, function: str) -> dict[str, Any]:
    """A role's ARN names the partition and the account: arn:aws:iam::ACCOUNT:role/NAME."""
    _, partition, _, _, account, _ = role.split(":", 5)
    group = f"arn:{partition}:logs:{region}:{account}:log-group:{_log_group(function)}"
    statement = {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": f"{group}:log-stream:*",  # Lambda invents the names of its streams
    }
    return {"Version": "2012-10-17", "Statement": [statement]}
