"""What takes longer than a few seconds says what it is doing, also where no terminal shows a bar."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from faults.runs import Listens, tiny

from lossbench import announce
from lossbench.announce import Announcement, announced
from lossbench.cli.watch_run import counting, working
from lossbench.harness.readable_splits import read_splits


def test_long_work_says_how_far_it_is_now_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = Announcement(said.append, "opening images")
    for second in (1, 2, 4, 5, 33, 35):
        now[0] = second
        progress(10 * second, 2000 if second < 30 else None)
    assert said == ["opening images: 40 of 2,000", "opening images: 350"]


def test_work_that_ends_soon_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with announced(said.append, "reading"):
        pass
    assert not said
    monkeypatch.setattr(announce, "SILENCE", 0.0)
    with announced(said.append, "reading"):
        time.sleep(0.05)
    assert said == ["reading"]


def test_commands_say_it_on_standard_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(announce, "SILENCE", 0.0)
    with counting("opening [images]") as progress:
        progress(3, 4)
    with working("measuring [/x]"):
        time.sleep(0.05)
    assert capsys.readouterr() == ("", "opening [images]: 3 of 4\nmeasuring [/x]\n")


def test_a_run_says_that_it_checks_its_images(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announce, "SILENCE", 0.0)
    listens = Listens()
    read_splits(tiny(pictures), listens)
    assert any(said.startswith("checking that images are readable: ") for said in listens.said)
