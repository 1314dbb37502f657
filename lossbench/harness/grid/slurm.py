"""The executor `slurm`: an array of jobs, submitted by submitit, in which each job claims cells until none is left.

The first `compare` submits and returns. The same command again waits for the jobs and judges; cells that the jobs leave
are submitted again by the next command. Before a time limit, and when a job is preempted, cells write checkpoints and
the job is requeued.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ... import files
from ...children import children_with_this_path
from ...errors import ConfigError, RecordError, RunFailed, missing_package
from ...runs.json_text import FieldError, parse
from ...strict_files import read_bytes
from ...what_is import quote
from .executors import Order, Submitted
from .follow import follow, unsettled
from .job import JOBS, Job, Task, remove_task, write_task
from .slurm_commands import check_slurm, describe_jobs, is_ending, job_name, jobs_alive, refused, requeue
from .slurm_options import SlurmOptions, read_slurm_options

_STATE, _LOGS = "slurm.json", "slurm"
_MOST_JOBS = 16  # unless --jobs says more
# A job that a signal ends before submitit handles it, while Python starts, is requeued by its script.
_REQUEUE_EARLY = (
    "trap 'case $? in 138|140) scontrol requeue "
    '"${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}";; esac\' EXIT'
)


def check(options: dict[str, str]) -> None:
    """Check what can be checked before a comparison is planned.

    Raises:
        ConfigError: submitit or Slurm is missing, or an option is wrong.
    """
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise missing_package("jobs of --executor slurm", "slurm", error) from error
    check_slurm()
    read_slurm_options(options)


def run(order: Order) -> None:
    """Submit cells, or wait for the jobs of an earlier submission.

    Raises:
        Submitted: jobs were submitted; nothing waits for them.
        ConfigError: Slurm refuses the jobs.
        RunFailed: the jobs ended, and cells are left that they did not run.
    """
    state = order.out.absolute() / JOBS / _STATE
    if submission := _read(state):
        attempt, jobs = submission
        left = follow(order.cells, order.out, attempt, order.watch, lambda: jobs_alive(jobs))
        state.unlink(missing_ok=True)
        remove_task(order.out, attempt)
        if left:
            raise RunFailed(
                f"Slurm job {', '.join(jobs)} ended, and {len(left)} of {len(order.cells)} cells are not finished: "
                f"{_last_words(order.out.absolute() / JOBS / _LOGS, jobs)}. Finished cells and checkpoints are kept; "
                "run the same command again to submit the others"
            )
        return
    if not (left := unsettled(order.cells, order.out)):
        return
    options, number = read_slurm_options(dict(order.options)), min(order.jobs or _MOST_JOBS, len(left))
    task = write_task(order.cells, order.out)
    try:
        jobs = _submit(task, options, number)
    except BaseException:
        remove_task(order.out, task.attempt)
        raise
    files.write_json(state, {"attempt": task.attempt, "jobs": jobs})
    raise Submitted(
        f"submitted {number} Slurm jobs ({', '.join(jobs)}) for {len(left)} cells\n"
        f"follow them with: lossbench compare --status {quote(order.out)}\n"
        "wait for them and judge with the same command again"
    )


def submitted_jobs(out: Path) -> str:
    """Return the Slurm jobs of a comparison that were not collected yet, with states and reasons, in one line."""
    found = _read(out.absolute() / JOBS / _STATE)
    return describe_jobs(found[1]) if found else ""


def _submit(task: Task, options: SlurmOptions, number: int) -> list[str]:
    """Submit a job array; return its name, as squeue takes it."""
    import submitit

    parts = submitit.SlurmExecutor(
        folder=Path(task.out) / JOBS / _LOGS,
        max_num_timeout=10**6,  # a cell may take any number of starts, each of which gets further
        python=f"{quote(sys.executable)} -P",
    )
    parts.update_parameters(setup=[_REQUEUE_EARLY], **options.parameters)
    try:
        with children_with_this_path(), parts.batch():
            submitted = [parts.submit(SlurmJob(task.to_json(), options.cells, options.gpus)) for _ in range(number)]
    except Exception as error:  # submitit raises several types with the words of sbatch
        raise refused(error) from error
    return sorted({job.job_id.partition("_")[0] for job in submitted})


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


def _read(state: Path) -> tuple[str, list[str]] | None:
    """Return attempt and jobs of the submission that was not collected yet."""
    if not os.path.lexists(state):
        return None
    try:
        content = parse(read_bytes(state, 2**20))
        return str(content["attempt"]), [str(int(job)) for job in content["jobs"]]
    except (RecordError, FieldError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{state} is damaged ({error}); remove it, and the cells are submitted again") from error


def _last_words(folder: Path, jobs: list[str]) -> str:
    """Return the last line of the newest error log, or what it means that there is none."""
    logs = [log for job in jobs for log in folder.glob(f"{job}*_log.err") if log.is_file() and not log.is_symlink()]
    for log in sorted(logs, key=lambda log: log.stat().st_mtime, reverse=True):
        with contextlib.suppress(RecordError):
            lines = [line for line in read_bytes(log, 64 * 2**20).decode(errors="replace").splitlines() if line.strip()]
            errors = [line for line in lines if "Error" in line or "error" in line]
            if lines:
                return f"{(errors or lines)[-1].strip()} (see {log})"
    return f"the jobs left no log in {folder}; they may have been cancelled, or the nodes do not share this directory"
