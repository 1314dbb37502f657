"""What is wrong with data is known before the first epoch, whole, with path and row."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from faults.runs import make_pictures, tiny
from PIL import Image

from lossbench.data import preflight
from lossbench.data.decode import Checked
from lossbench.data.digests import manifest_with_digests
from lossbench.data.manifest import read_csv_manifest
from lossbench.data.readable_cache import ReadableFiles
from lossbench.data.sources import open_data
from lossbench.errors import DataError
from lossbench.harness.prepare import prepare
from lossbench.harness.reporter import SilentReporter


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_pictures(tmp_path)


def test_all_unreadable_files_are_listed_with_path_and_row(data: Path) -> None:
    (data.parent / "train2.png").write_bytes(b"")
    (data.parent / "train5.png").write_bytes(b"<html><body>log in first</body></html>")
    (data.parent / "val1.png").write_bytes((data.parent / "val1.png").read_bytes()[:200])
    with pytest.raises(DataError) as found:
        prepare(tiny(data), SilentReporter())
    root = data.parent
    assert str(found.value).splitlines() == [
        "Cannot read 3 image(s):",
        f"  {root}/train2.png: zero bytes (row 4)",
        f"  {root}/train5.png: not an image (row 7)",
        f"  {root}/val1.png: truncated (row 34)",
        "Replace or remove these files, or pass --skip-unreadable to skip them.",
    ]
    task = prepare(tiny(data, skip_unreadable=True), SilentReporter())
    assert task.skipped == ("train2.png", "train5.png", "val1.png")
    with pytest.raises(DataError, match=r"--skip-unreadable skips at most --max-unreadable 2 images"):
        prepare(tiny(data, skip_unreadable=True, max_unreadable=2), SilentReporter())


def test_a_file_that_was_decoded_is_decoded_again_only_when_it_changes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = open_data(f"csv:{data}")
    decoded: list[str] = []
    real = preflight.check_file

    def watched(path: Path, box: Any) -> Checked:
        decoded.append(path.name)
        return real(path, box)

    monkeypatch.setattr(preflight, "check_file", watched)
    file = tmp_path / "cache/readable"

    def look() -> tuple[int, list[Path]]:
        decoded.clear()
        found = preflight.unreadable([splits.train, splits.test], known=ReadableFiles(file))
        return len(decoded), [path for path, _ in found]

    assert look() == (37, [])
    assert look() == (0, [])
    damaged = data.parent / "train7.png"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:100])
    assert look() == (1, [damaged])
    assert look() == (1, [damaged])  # unreadable files are not cached
    damaged.write_bytes(whole)
    assert look() == (1, [])
    os.utime(data.parent / "train1.png", ns=(1, 1))
    assert look() == (1, [])
    (data.parent / "train1.png").unlink()
    assert look() == (1, [data.parent / "train1.png"])
    file.write_bytes(b"something else")
    assert look()[0] == 37
    file.unlink()
    file.mkdir()
    assert look()[0] == 37  # a cache that cannot be written is ignored


def flip_scan(path: Path) -> None:
    """One bit in the middle of a JPEG's scan: it still decodes."""
    blob = bytearray(path.read_bytes())
    blob[len(blob) * 3 // 4] ^= 1
    path.write_bytes(blob)


def test_a_flipped_bit_that_decodes_is_seen_by_the_manifest_s_digests(tmp_path: Path) -> None:
    data = make_pictures(tmp_path)
    for number in range(31):
        Image.open(tmp_path / f"train{number}.png").save(tmp_path / f"train{number}.jpg", quality=95)
    data.write_text("\n".join(
        line.replace(".png", ".jpg") if line.startswith("train") else line for line in data.read_text().splitlines()
    ))  # fmt: skip
    named = tmp_path / "named.csv"
    named.write_text(manifest_with_digests(data))
    assert named.read_text().splitlines()[0] == "path,label,split,sha256"
    assert manifest_with_digests(named) == named.read_text()
    prepare(tiny(named), SilentReporter())
    state = os.stat(tmp_path / "train3.jpg")
    flip_scan(tmp_path / "train3.jpg")
    os.utime(tmp_path / "train3.jpg", ns=(state.st_atime_ns, state.st_mtime_ns))  # as a disk that forgets
    prepare(tiny(data), SilentReporter())  # without digests nobody sees it
    message = r"train3.jpg: its content does not match the manifest's sha256 \(row 5\)"
    with pytest.raises(DataError, match=message):
        prepare(tiny(named), SilentReporter())
    named.write_text(named.read_text().replace(",train,", ",train,x", 1))
    with pytest.raises(DataError, match=r"row 2: 'train0.jpg': sha256 is 'x.*', expected 64 hexadecimal digits"):
        read_csv_manifest(named)


def test_the_command_writes_digests_beside_the_manifest_only(data: Path, tmp_path: Path) -> None:
    from lossbench.cli.data import digests
    from lossbench.errors import ConfigError

    digests(data, data.with_name("named.csv"))
    assert len(open_data(f"csv:{data.with_name('named.csv')}").train) == 31
    (tmp_path / "sub").mkdir()
    with pytest.raises(ConfigError, match="must lie in"):
        digests(data, tmp_path / "sub/named.csv")
