"""The commands of Slurm that submitit does not call."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from ...errors import ConfigError

_SECONDS = 60.0


def check_slurm() -> None:
    """Check that Slurm's commands are there.

    Raises:
        ConfigError: they are not.
    """
    if missing := [name for name in ("sbatch", "squeue", "scontrol", "srun") if shutil.which(name) is None]:
        raise ConfigError(
            f"--executor slurm: this machine has no Slurm ({', '.join(missing)} not found). Run the command on a login "
            "node of the cluster, or use --executor local"
        )


def jobs_alive(jobs: Sequence[str]) -> bool:
    """Return whether any of these jobs is waiting or running; true where Slurm does not answer."""
    for job in jobs:
        code, out, err = _call("squeue", "--noheader", f"--jobs={job}", "--format=%T")
        if out.strip() or (code and "Invalid job id" not in err):
            return True
    return False


def describe_jobs(jobs: Sequence[str]) -> str:
    """Return the jobs with states and the reasons for which they wait, in a line; empty where Slurm does not answer."""
    if shutil.which("squeue") is None:
        return ""
    _, out, _ = _call("squeue", "--noheader", f"--jobs={','.join(jobs)}", "--format=%i %T %r")
    found = [line.split(maxsplit=2) for line in out.splitlines()]
    return ", ".join(f"{row[0]} {row[1].lower()}{f' ({row[2]})' if row[2:] != ['None'] else ''}" for row in found)


def refused(error: Exception) -> ConfigError:
    """Return the error for jobs that sbatch did not accept."""
    words = [line.partition("error: ")[2] for line in str(error).splitlines() if "sbatch: error: " in line]
    said = "; ".join(dict.fromkeys(words)) or str(error).strip().splitlines()[-1][:500]
    hint = ""
    if "partition" in said:
        _, out, _ = _call("sinfo", "--noheader", "--format=%R")
        hint = f". Partitions: {', '.join(sorted(set(out.split())))}"
    return ConfigError(f"--executor slurm: sbatch refused the jobs: {said}{hint}. Change --slurm; nothing was started")


def job_name() -> str:
    """Return the name of the job that this process is part of, as scontrol takes it."""
    array, number = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{number}" if array and number else os.environ["SLURM_JOB_ID"]


def is_ending(job: str) -> bool:
    """Return whether Slurm is ending a job, as after scancel; a job that is to be preempted still counts as running."""
    _, out, _ = _call("scontrol", "show", "job", job)
    return "JobState=RUNNING" not in out


def requeue(job: str) -> None:
    """Put a job back into the queue."""
    code, _, err = _call("scontrol", "requeue", job)
    print(f"requeued job {job}" if not code else f"job {job} cannot be requeued: {err.strip()}", flush=True)


def _call(*command: str) -> tuple[int, str, str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, "", str(error)
    return done.returncode, done.stdout, done.stderr
