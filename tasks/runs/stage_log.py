"""The log of a flow run's stages: computed or reused, and in how many seconds."""

import threading
from dataclasses import dataclass

from prefect.context import FlowRunContext


@dataclass
class StageRun:
    """What became of one stage in one flow run: `seconds` it took, or took when its result was first made."""

    name: str
    key: str
    seconds: float
    reused: bool


_logs: dict[str, dict[str, StageRun]] = {}
_logs_lock = threading.Lock()


def stage_log(flow_run_id: str) -> tuple[StageRun, ...]:
    """What became of each stage of a flow run of this process, in the order they were first looked up."""
    with _logs_lock:
        return tuple(_logs.get(flow_run_id, {}).values())


def note(run: StageRun) -> None:
    """Enter what became of a stage into the stage log of the flow run that is under way here."""
    context = FlowRunContext.get()
    flow_run_id = str(context.flow_run.id) if context and context.flow_run else ""
    with _logs_lock:
        _logs.setdefault(flow_run_id, {})[run.key] = run
