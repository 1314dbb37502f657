"""The executor `slurm`: an array of jobs, submitted by submitit, in which each job claims cells until none is left.

The first `compare` submits and returns. The same command again waits for the jobs and judges; cells that the jobs leave
are submitted again by the next command. Before a time limit, and when a job is preempted, cells write checkpoints and
the job is requeued.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...children import children_with_this_path
from ...errors import ConfigError, RunFailed, missing_package
from ...runs.cells import MISSING, Cell, state
from ...what_is import quote
from .executors import Order, Submitted
from .follow import follow, unsettled
from .job import Job, Task, remove_task, write_task
from .slurm_commands import check_slurm, describe_jobs, is_ending, job_name, jobs_alive, refused, requeue
from .slurm_options import SlurmOptions, read_slurm_options
from .slurm_submissions import Submission, forget, last_words, logs, read_submission, write_submission

_MOST_JOBS = 16  # unless --jobs says more
_ERROR = re.compile(r"(?:lossbench\.errors\.(\w+): )?(.*)", re.DOTALL)  # the last line of a traceback
# A job that a signal ends before submitit handles it, while Python starts, is requeued by its script.
_REQUEUE_EARLY = (
    "trap 'case $? in 138|140) scontrol requeue "
    '"${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}";; esac\' EXIT'
)


def check(options: Mapping[str, str], processes: int = 1) -> None:
    """Check what can be checked before a comparison is planned.

    Raises:
        ConfigError: submitit or Slurm is missing, or an option is wrong.
    """
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise missing_package("jobs of --executor slurm", "slurm", error) from error
    check_slurm()
    read_slurm_options(options, processes)


def run(order: Order) -> None:
    """Submit cells, or wait for the jobs of an earlier submission.

    Raises:
        Submitted: jobs were submitted; nothing waits for them.
        ConfigError: Slurm refuses the jobs, or jobs run other cells of the comparison.
        RunFailed: the jobs ended, and cells are left that they did not run.
    """
    if submission := read_submission(order.out):
        names = set(submission.cells)
        own = [cell for cell in order.cells if cell.name in names]
        if own:
            _collect(order, submission, own)
        elif all(state(cell.place(order.out))[0] != MISSING for cell in order.cells):
            return  # tuning trials, which were run before those cells were submitted
        elif jobs_alive(submission.jobs):
            raise ConfigError(
                f"Slurm job {', '.join(submission.jobs)} runs other cells of {order.out}; wait until it has ended, or "
                f"cancel it: scancel {' '.join(submission.jobs)}"
            )
        else:
            forget(order.out, submission)
        if len(own) == len(order.cells):
            return
    if not (left := unsettled(order.cells, order.out)):
        return
    options, number = read_slurm_options(order.options, order.processes), min(order.jobs or _MOST_JOBS, len(left))
    task = write_task(order.cells, order.out)
    try:
        jobs = _submit(task, options, number)
    except BaseException:
        remove_task(order.out, task.attempt)
        raise
    write_submission(order.out, Submission(task.attempt, jobs, tuple(cell.name for cell in order.cells)))
    raise Submitted(
        f"submitted {number} Slurm jobs ({', '.join(jobs)}) for {len(left)} cells\n"
        f"follow them with: lossbench compare --status {quote(order.out)}\n"
        "wait for them and judge with the same command again"
    )


def submitted_jobs(out: Path) -> str:
    """Return the Slurm jobs of a comparison that were not collected yet, with states and reasons, in one line."""
    found = read_submission(out)
    return describe_jobs(found.jobs) if found else ""


def _submit(task: Task, options: SlurmOptions, number: int) -> tuple[str, ...]:
    """Submit a job array; return its name, as squeue takes it."""
    import submitit

    parts = submitit.SlurmExecutor(
        folder=logs(Path(task.out)),
        max_num_timeout=10**6,  # a cell may take any number of starts, each of which gets further
        python=f"{quote(sys.executable)} -P",
    )
    parts.update_parameters(setup=[_REQUEUE_EARLY], **options.parameters)
    try:
        with children_with_this_path(), parts.batch():
            submitted = [parts.submit(SlurmJob(task.to_json(), options.cells, options.gpus)) for _ in range(number)]
    except Exception as error:  # submitit raises several types with the words of sbatch
        raise refused(error) from error
    return tuple(sorted({job.job_id.partition("_")[0] for job in submitted}))


class SlurmJob:
    """What each job of the array runs; submitit stores it and calls it again after a requeue.

    Args:
        task: JSON of the `Task`.
        cells: cells that the job runs at a time.
        gpus: CUDA devices of the job.
    """

    def __init__(self, task: dict[str, Any], cells: int, gpus: int) -> None:
        self.task, self.cells, self.gpus = task, cells, gpus
        self.job: Job | None = None

    def __call__(self) -> None:
        handler = signal.getsignal(signal.SIGUSR2)  # submitit's: it calls `checkpoint` and requeues
        signal.signal(signal.SIGUSR1, handler)
        signal.signal(signal.SIGTERM, self._end)
        self.job = Job(Task(**self.task), self.cells, self.gpus if self.cells > 1 else 0)
        self.job.work()

    def checkpoint(self) -> Any:
        """Let cells write checkpoints; return what the requeued job runs."""
        import submitit

        if self.job is not None:
            self.job.stop()
        return submitit.helpers.DelayedSubmission(SlurmJob(self.task, self.cells, self.gpus))

    def _end(self, number: int, frame: object) -> None:
        """Let cells write checkpoints, and requeue the job unless it was cancelled."""
        del number, frame
        if self.job is not None:
            self.job.stop()
        if not is_ending(job_name()):
            requeue(job_name())
        os._exit(0)


def _collect(order: Order, submission: Submission, own: list[Cell]) -> None:
    """Wait for the cells of a submission.

    Raises:
        ConfigError: a node cannot run cells.
        RunFailed: the jobs ended for another reason, and cells are left that they did not run.
    """
    left = follow(own, order.out, submission.attempt, order.watch, lambda: jobs_alive(submission.jobs))
    forget(order.out, submission)
    if left:
        error, why = _ERROR.fullmatch(last_words(order.out, submission.jobs)).groups()  # type: ignore[union-attr]
        raise (ConfigError if error == "ConfigError" else RunFailed)(
            f"Slurm job {', '.join(submission.jobs)} ended, and {len(left)} of {len(own)} cells are not finished: "
            f"{why}. Finished cells and checkpoints are kept; run the same command again to submit the others"
        )
