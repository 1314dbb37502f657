"""Telling about the work must not end the work: terminals that go away, full disks, encodings, signals, no home."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, TextIO

import pytest
from faults.runs import Listens, StopsAt, assert_same, outcome, tiny

from lossbench.caches import user_cache
from lossbench.cli.output import GuardedStream, output_is_optional
from lossbench.data.readable_cache import ReadableFiles
from lossbench.errors import Interrupted
from lossbench.harness.reporter import SilentReporter, SteadyReporter
from lossbench.harness.resume import resume
from lossbench.harness.run import run


class Broken(io.StringIO):
    """A stream that fails after a number of writes."""

    def __init__(self, error: Exception, left: int = 0) -> None:
        super().__init__()
        self.error, self.left = error, left

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().write(text)


ERRORS = [
    BrokenPipeError(32, "Broken pipe"),
    OSError(5, "Input/output error"),
    ValueError("I/O operation on closed file"),
]


@pytest.mark.parametrize("error", ERRORS, ids=["pipe", "terminal", "closed"])
def test_a_stream_falls_silent_at_its_first_error(error: Exception) -> None:
    below = Broken(error, left=2)
    stream = GuardedStream(below)
    for text in ("a", "b", "c", "d"):
        assert stream.write(text) == 1
    stream.flush()
    assert below.getvalue() == "ab"
    assert below.left == -1  # not tried again
    assert stream.error is not None
    assert not stream.isatty()


def test_a_signal_s_message_may_be_lost_and_the_stream_goes_on() -> None:
    stream = GuardedStream(Broken(RuntimeError("reentrant call inside <_io.BufferedWriter>")))
    stream.write("lost")
    assert stream.error is None
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        GuardedStream(Broken(RuntimeError("DataLoader worker (pid 3) is killed"))).write("x")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_an_encoding_lacks_is_escaped(encoding: str) -> None:
    raw = io.BytesIO()
    stream = GuardedStream(io.TextIOWrapper(raw, encoding))
    stream.write("λ é \udcff")
    stream.flush()
    expected = {"ascii": rb"\u03bb \xe9 \udcff", "cp1252": b"\\u03bb \xe9 \\udcff", "utf-8": "λ é \\udcff".encode()}
    assert raw.getvalue() == expected[encoding]


class Unheard(SilentReporter):
    """A reporter whose terminal is gone."""

    def __init__(self, error: Exception) -> None:
        self.error, self.calls = error, 0

    def step(self, epoch: int) -> None:
        self.calls += 1
        raise self.error


@pytest.mark.parametrize("error", ERRORS, ids=["pipe", "terminal", "closed"])
def test_a_reporter_is_left_alone_after_its_first_error(error: Exception) -> None:
    below = Unheard(error)
    reporter = SteadyReporter(below)
    reporter.step(0)
    reporter.step(0)
    assert below.calls == 1
    with pytest.raises(Interrupted):
        SteadyReporter(Unheard(Interrupted("stopped", 15))).step(0)
    with pytest.raises(KeyError):
        SteadyReporter(Unheard(KeyError("a mistake"))).step(0)


def test_a_run_ends_well_without_its_reporter(pictures: Path, tmp_path: Path) -> None:
    reporter = Unheard(OSError(5, "Input/output error"))
    assert run(tiny(pictures, epochs=1), tmp_path / "run", reporter).to_json()["metrics"]
    assert reporter.calls == 1


def command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    call = [sys.executable, "-m", "lossbench", *map(str, arguments)]
    return subprocess.run(call, check=False, timeout=120, **{"stderr": subprocess.PIPE, **options})


def test_a_command_that_is_its_output_fails_with_it() -> None:
    with open("/dev/full", "w") as full:
        done = command("list", "--json", stdout=full)
    assert done.returncode == 1
    assert done.stderr == b"error: cannot write to standard output: No space left on device\n"
    reader, writer = os.pipe()
    os.close(reader)
    done = command("list", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_command_without_standard_streams_opens_no_file_in_their_place() -> None:
    script = "import os, sys\nfrom lossbench.cli.output import guarded_streams\n"
    script += "with guarded_streams():\n    print('x')\n    sys.exit(0 if os.open('/dev/null', 0) > 2 else 9)"
    done = subprocess.run(["bash", "-c", f'exec {sys.executable} -c "$0" 0<&- 1>&- 2>&-', script], check=False)
    assert done.returncode == 1  # not 9; its output could not be written


def test_a_run_whose_streams_are_full_writes_its_record(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faults.runs import arguments

    from lossbench.cli import main

    config = tiny(pictures, epochs=1)
    for more, code in (((), 0), (("--json",), 1)):
        out = tmp_path / f"run{code}"
        streams: list[TextIO] = [open("/dev/full", "w"), open("/dev/full", "w")]  # noqa: SIM115  # closed below
        with monkeypatch.context() as patch:
            patch.setattr("sys.argv", ["lossbench", "run", *arguments(config), "--out", str(out), *more])
            patch.setattr("sys.stdout", streams[0])
            patch.setattr("sys.stderr", streams[1])
            with pytest.raises(SystemExit) as end:
                main()
        assert end.value.code == code
        assert (out / "record.json").exists()
        for stream in streams:
            stream.close()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_commands_print_in_any_encoding(encoding: str) -> None:
    done = command("--help", stdout=subprocess.PIPE, env=os.environ | {"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")
    assert "Train a model" in done.stdout.decode(encoding)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_closed_terminal_and_a_batch_system_stop_a_run_with_a_checkpoint(
    pictures: Path, tmp_path: Path, number: signal.Signals
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "run"
    run(tiny(pictures), whole)
    before = signal.signal(number, signal.SIG_DFL)  # the tests may run under nohup
    try:
        with pytest.raises(Interrupted, match=f"stopped by {number.name} at epoch ") as stopped:
            run(tiny(pictures), out, StopsAt(3, number))
    finally:
        signal.signal(number, before)
    assert stopped.value.exit_code == 128 + number
    listens = Listens()
    resume(out, listens)
    assert not any("from the beginning" in said for said in listens.said)
    assert_same(outcome(out), outcome(whole))


def test_nohup_is_heeded(pictures: Path, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        result = run(tiny(pictures, epochs=1), tmp_path / "run", StopsAt(1, signal.SIGHUP))
        assert result.to_json()["metrics"]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_without_a_home_directory_there_are_no_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    cache = ReadableFiles()
    picture = tmp_path / "a.png"
    picture.write_bytes(b"x")
    key = cache.key(picture, None)
    cache.add(key)
    cache.save()
    assert key in cache
    assert key not in ReadableFiles()
    assert user_cache() == Path("/dev/null/lossbench")
    assert list(tmp_path.iterdir()) == [picture]
    output_is_optional()  # without guarded streams there is nothing to do
