"""How each target on AWS is carried out, for both engines."""

from __future__ import annotations

from rota.core.target import EventTarget, LambdaTarget, SqsTarget, StepFunctionsTarget
from rota.targets.aws import AwsCall, ClientOf
from rota.targets.events import EventCall
from rota.targets.lambda_function import LambdaCall
from rota.targets.sqs import SqsCall
from rota.targets.stepfunctions import StepFunctionsCall


def aws_calls(client: ClientOf) -> dict[type, AwsCall]:
    """The calls by kind of target, one for each of `rota.core.target.AwsTarget`."""
    return {
        LambdaTarget: LambdaCall(client),
        SqsTarget: SqsCall(client),
        StepFunctionsTarget: StepFunctionsCall(client),
        EventTarget: EventCall(client),
    }
