"""The plain loop: every stage over every partition in this process. For debugging, tests, and where Ray is absent."""

from __future__ import annotations

from collections.abc import Sequence

from interlink.runtime.plan import Report, StagePlan
from interlink.runtime.work import Work
from interlink.runtime.worker import Worker


def run(stages: Sequence[StagePlan], work: Work, report: Report) -> None:
    """Finishes `work` stage by stage, partition by partition, in order."""
    for plan in stages:
        worker = Worker(plan, report)
        try:
            for group in work.groups(plan):
                worker.run(group)
        finally:
            worker.close()
