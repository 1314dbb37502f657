"""Run a stage in a process of its own, with a time limit.

Processes are forks of a server that has imported torch, timm and lossbench once and has not touched the GPU.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from typing import Literal

from gpu_stages.results import FAILED, FINISHED, OUT_OF_TIME, Task, read_results, write_results

PRELOADED = ["torch", "timm", "lossbench.harness.run", "lossbench.bench.suite", "lossbench.cli.app"]
LOG = "log.txt"
METHOD: Literal["forkserver"] = "forkserver"


def start_server() -> None:
    """Start the server and wait until it has imported everything, which counts for no stage."""
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # asking CUDA whether there is a device would break later forks
    context = multiprocessing.get_context(METHOD)
    context.set_forkserver_preload(PRELOADED)
    first = context.Process(target=os.getpid)
    first.start()
    first.join()


def run_stage(task: Task, module: str) -> str:
    """Run a stage, kill it at its limit, store how it ended, and return that.

    Args:
        task: the stage.
        module: name of the module whose `run(task)` is called.
    """
    process = multiprocessing.get_context(METHOD).Process(target=_become, args=(task, module))
    began = time.monotonic()
    process.start()
    process.join(task.seconds)
    status = FINISHED if process.exitcode == 0 else FAILED
    if process.is_alive():
        status = OUT_OF_TIME
        assert process.pid is not None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with its children
        process.kill()  # before it has a group of its own
        process.join()
    if status == FAILED and process.exitcode is not None and process.exitcode < 0:
        task.problem(f"the process was killed by signal {-process.exitcode}")
    content = read_results(task.out)
    content["stages"][task.stage] |= {"status": status, "seconds": round(time.monotonic() - began, 1)}
    write_results(task.out, content)
    return status


def _become(task: Task, module: str) -> None:
    """Run the stage in the child; output goes to the log."""
    os.setsid()
    handle = os.open(task.out / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    print(f"\n=== {task.stage}", flush=True)
    code = 0
    try:
        importlib.import_module(f"gpu_stages.{module}").run(task)
    except BaseException as error:
        traceback.print_exc()
        task.problem("; ".join(traceback.format_exception_only(error)).strip()[:500])
        code = 1
    times = os.times()
    own, children = times.user + times.system, times.children_user + times.children_system
    print(f"=== {task.stage}: {own:.1f} s of CPU, and {children:.1f} s in its child processes")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # CUDA's own clean-up at exit takes seconds
