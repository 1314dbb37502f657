"""A run is resumed where its data has moved to, and refused where it is other data."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from faults.runs import Listens, StopsAt, tiny

from lossbench.errors import CheckpointError, DataError, Interrupted
from lossbench.harness.resume import resume
from lossbench.harness.run import run
from lossbench.runs.finished_run import read_run
from lossbench.runs.options_file import read_options


def test_a_run_goes_on_where_its_data_has_moved_to(pictures: Path, tmp_path: Path) -> None:
    before, out = tmp_path / "before", tmp_path / "run"
    shutil.copytree(pictures.parent, before)
    with pytest.raises(Interrupted):
        run(tiny(before / "all.csv"), out, StopsAt(4))
    after = before.rename(tmp_path / "after")
    with pytest.raises(DataError, match=r"no such manifest(.|\n)*add --data SPEC with its new place"):
        resume(out)
    other = after.with_name("other")
    shutil.copytree(after, other)
    text = (other / "all.csv").read_text().splitlines()
    (other / "all.csv").write_text("\n".join(text[:-1]) + "\n")
    with pytest.raises(CheckpointError, match=r"belongs to a different run:\n  .*test images"):
        resume(out, data=f"csv:{other}/all.csv")
    listens = Listens()
    with pytest.raises(Interrupted):
        resume(out, StopsAt(2), data=f"csv:{after}/all.csv")
    assert read_options(out / "config.toml", "config")["data"] == f"csv:{after}/all.csv"
    resume(out, listens)
    assert not any("from the beginning" in said for said in listens.said)
    whole = run(tiny(pictures), tmp_path / "whole").record
    resumed = read_run(out).record
    assert whole is not None
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.to_json()["metrics"] == whole.to_json()["metrics"]
    assert resumed.data.spec == f"csv:{after}/all.csv"
