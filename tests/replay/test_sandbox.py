"""What a workflow may import: nothing beyond the domain, the activities' names and the messages."""

from __future__ import annotations

import builtins
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.worker.workflow_sandbox._importer import Importer
from temporalio.worker.workflow_sandbox._restrictions import RestrictionContext, UnintentionalPassthroughError
from temporalio.workflow import SandboxImportNotificationPolicy

import workflows
from tests.replay.record import HISTORIES
from workers.registry import PASSED_THROUGH, WORKFLOWS
from workers.replay import read_histories, replay

FOLDER = Path(workflows.__path__[0])
MODULES = sorted(
    ".".join(("workflows", *path.relative_to(FOLDER).with_suffix("").parts))
    for path in FOLDER.rglob("*.py")
    if path.stem != "__init__"
)
OUTSIDE = (
    "psycopg",
    "psycopg_pool",
    "sqlmodel",
    "sqlalchemy",
    "fastapi",
    "starlette",
    "httpx",
    "uvicorn",
    "infra",
    "api",
)


def restrictions_for(module: str) -> SandboxRestrictions:
    """Everything of ours passes through but `module`, and whatever else it imports raises."""
    others = [other for other in MODULES if other != module and not module.startswith(f"{other}.")]
    return SandboxRestrictions.default.with_passthrough_modules(
        *PASSED_THROUGH, *others
    ).with_import_notification_policy(SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH)


def load_in_sandbox(module: str) -> None:
    """Import a module as a worker's sandbox does when it is the one that defines a workflow."""
    with Importer(restrictions_for(module), RestrictionContext(), workflow_module_name=module).applied():
        builtins.__import__(module)


@pytest.mark.parametrize("module", MODULES)
def test_a_workflow_module_imports_nothing_that_is_not_passed_through_on_purpose(module: str) -> None:
    load_in_sandbox(module)


@pytest.mark.parametrize("import_of", ["psycopg", "httpx", "infra.settings"])
def test_a_module_that_imports_the_outside_is_caught(
    import_of: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "careless_workflow.py").write_text(f"import {import_of}\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with pytest.raises(UnintentionalPassthroughError, match=import_of):
        load_in_sandbox("careless_workflow")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=[workflow.__name__ for workflow in WORKFLOWS])
async def test_a_workflow_replays_where_an_unintended_import_raises(workflow: type) -> None:
    histories = [
        history
        for history in read_histories(HISTORIES)
        if history.events[0].workflow_execution_started_event_attributes.workflow_type.name == workflow.__name__
    ]
    runner = SandboxedWorkflowRunner(restrictions=restrictions_for(workflow.__module__))
    replayed = await replay(histories[:3], workflows=[workflow], runner=runner)
    assert replayed.passed, replayed.failures


def test_loading_all_workflows_loads_no_database_no_web_and_no_adapter() -> None:
    """In a process of its own, since this one has them all."""
    code = f"import sys, {', '.join(MODULES)}; print('\\n'.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    ).stdout.split()
    assert "workflows.payments.payment" in loaded
    assert [name for name in loaded if name.split(".")[0] in OUTSIDE] == []
