"""Step Functions: Distributed Map with ItemBatcher, ResultWriter and numbers given by paths, which stock ignores; and a
file that cannot be read fails its reader, where stock ends the execution with States.Runtime, which nothing catches.

Items are batched before MiniStack's own map sees them, and each batch is an item to it; so what it counts and tolerates
are batches, where AWS counts and tolerates items.
"""

from __future__ import annotations

import collections
import copy
import json
from typing import Any

from ministack.services import s3, stepfunctions

from rota.testing.emulator.guard import replace

State = dict[str, Any]
_ITEMS = "__rota_batches__"
_BY_PATH = (
    "MaxConcurrency",
    "MaxInputBytesPerBatch",
    "MaxItemsPerBatch",
    "ToleratedFailureCount",
    "ToleratedFailurePercentage",
)
_OUTPUT_FIELDS = ("ResultSelector", "ResultPath", "OutputPath")


def mend() -> None:
    """Patch the distributed map."""
    replace(stepfunctions, "_read_map_items", "b846851544b8", _failing_as_reader)
    replace(stepfunctions, "_run_distributed_map", "2b77d3ec0e04", _batched_and_written)


def _failing_as_reader(read: Any) -> Any:
    """What cannot be read is an error of the reader's, which `Catch` takes."""

    def items(reader: State, effective: Any, context: State) -> Any:
        try:
            return read(reader, effective, context)
        except stepfunctions._ExecutionError:
            raise
        except Exception as error:
            raise stepfunctions._ExecutionError("States.ItemReaderFailed", str(error)) from error

    return items


def _batched_and_written(run: Any) -> Any:
    def distributed(state: State, given: Any, effective: Any, iterator: State, execution: State, context: State) -> Any:
        plain = _without_paths(copy.deepcopy(state), effective, context)
        batcher, writer = plain.pop("ItemBatcher", None), plain.pop("ResultWriter", None)
        if batcher is not None:
            items = _items(plain, effective, context)
            batches = _batches(items, batcher, effective, context)
            effective, plain["ItemsPath"] = {_ITEMS: batches}, f"$.{_ITEMS}"
        if writer is None:
            return run(plain, given, effective, iterator, execution, context)
        for field in _OUTPUT_FIELDS:
            plain.pop(field, None)
        place = stepfunctions._resolve_params_obj(writer.get("Parameters") or {}, given, context)
        try:
            _, following = run(plain, given, effective, iterator, execution, context)
        finally:
            written = _written(execution, place)
        result = stepfunctions._apply_result_selector(state, written)
        output = stepfunctions._apply_result_path(state, given, result)
        return stepfunctions._apply_output_path(state, output, context), following

    return distributed


def _without_paths(state: State, effective: Any, context: State) -> State:
    """With the value of each field that is given by its path."""
    for field in _BY_PATH:
        for place in (state, state.get("ItemBatcher") or {}):
            path = place.pop(f"{field}Path", None)
            if path is not None:
                place[field] = stepfunctions._resolve_path_or_ctx(path, effective, context)
    return state


def _items(state: State, effective: Any, context: State) -> list[Any]:
    """All items, each as the map's selector shapes it. Takes reader and selector out of the state."""
    reader = state.pop("ItemReader", None)
    if reader:
        items = stepfunctions._read_map_items(reader, effective, context)
    else:
        items = stepfunctions._resolve_path_or_ctx(state.get("ItemsPath", "$"), effective, context)
    first, second = state.pop("ItemSelector", None), state.pop("Parameters", None)
    selector = first or second
    items = items if isinstance(items, list) else [items]
    if not selector:
        return items
    selected = []
    for index, item in enumerate(items):
        its = copy.deepcopy(context)
        its["Map"] = {"Item": {"Index": index, "Value": item}}
        selected.append(stepfunctions._resolve_params_obj(selector, effective, its))
    return selected


def _batches(items: list[Any], batcher: State, effective: Any, context: State) -> list[State]:
    count, size = batcher.get("MaxItemsPerBatch"), batcher.get("MaxInputBytesPerBatch")
    shared = stepfunctions._resolve_params_obj(batcher.get("BatchInput") or {}, effective, context)
    batches: list[list[Any]] = []
    filled = 0
    for item in items:
        length = len(json.dumps(item)) + 1
        full = not batches or (count and len(batches[-1]) >= count) or (size and filled + length > size)
        if full:
            batches.append([])
            filled = 0
        batches[-1].append(item)
        filled += length
    more = {"BatchInput": shared} if shared else {}
    return [{"Items": batch, **more} for batch in batches]


def _written(execution: State, place: State) -> State:
    """Writes manifest and result files of the execution's newest map run; what the state then gives."""
    runs = [it for it in stepfunctions._map_runs.values() if it["executionArn"] == execution["executionArn"]]
    if not runs:
        return {}
    map_run = runs[-1]
    folder = map_run["mapRunArn"].rpartition(":")[2]
    base = f"{place['Prefix'].rstrip('/')}/{folder}" if place.get("Prefix") else folder
    rows: dict[str, list[State]] = collections.defaultdict(list)
    for child in list(stepfunctions._executions.values()):
        if child.get("mapRunArn") == map_run["mapRunArn"]:
            rows[child["status"]].append(_row(child))
    files: dict[str, list[State]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    for status, some in rows.items():
        body, key = json.dumps(some).encode(), f"{base}/{status}_0.json"
        s3._put_object(place["Bucket"], key, body, {})
        files[status].append({"Key": key, "Size": len(body)})
    manifest = {"DestinationBucket": place["Bucket"], "MapRunArn": map_run["mapRunArn"], "ResultFiles": files}
    s3._put_object(place["Bucket"], f"{base}/manifest.json", json.dumps(manifest).encode(), {})
    map_run["itemCounts"]["resultsWritten"] = map_run["itemCounts"]["succeeded"]
    details = {"Bucket": place["Bucket"], "Key": f"{base}/manifest.json"}
    return {"MapRunArn": map_run["mapRunArn"], "ResultWriterDetails": details}


def _row(child: State) -> State:
    if child["status"] == "SUCCEEDED":
        outcome = {"Output": child["output"], "OutputDetails": {"Included": True}}
    else:
        outcome = {"Error": child.get("error"), "Cause": child.get("cause")}
    return {
        "ExecutionArn": child["executionArn"],
        "Input": child["input"],
        "InputDetails": {"Included": True},
        "Name": child["name"],
        **outcome,
        "RedriveCount": 0,
        "RedriveStatus": "NOT_REDRIVABLE",
        "StartDate": str(child["startDate"]),
        "StateMachineArn": child["stateMachineArn"],
        "Status": child["status"],
        "StopDate": str(child["stopDate"]),
    }
