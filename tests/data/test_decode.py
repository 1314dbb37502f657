"""Whatever Pillow reads becomes upright 8-bit RGB, and whatever it cannot read becomes one error."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lossbench.data.decode import FORMATS, MAX_PIXELS, check_file, decode
from lossbench.errors import DataError
from lossbench.file_names import IMAGE_SUFFIXES


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def test_rgb_survives_unchanged(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path = saved(Image.fromarray(pixels), tmp_path / "a.png")
    image = decode(path)
    assert type(image) is Image.Image
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), pixels)
    np.testing.assert_array_equal(np.asarray(decode(str(path))), pixels)
    np.testing.assert_array_equal(np.asarray(decode(path.read_bytes())), pixels)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    suffix = "jpg" if mode in ("CMYK", "YCbCr") else "png"
    image = decode(saved(Image.new("RGB", (8, 8), "white").convert(mode), tmp_path / f"a.{suffix}"))
    assert image.mode == "RGB"
    assert np.asarray(image).min() >= 250


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    levels = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    for suffix in ("png", "tif"):
        image = decode(saved(Image.fromarray(levels), tmp_path / f"a.{suffix}"))
        np.testing.assert_array_equal(np.asarray(image)[0, :, 0], [0, 1, 128, 255])


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_unknown_scale_are_refused(tmp_path: Path, mode: str) -> None:
    path = saved(Image.new(mode, (2, 2), 1_000_000), tmp_path / "a.tif")
    with pytest.raises(DataError, match="unknown scale; save it with 8 or 16 bits"):
        decode(path)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_composited_on_white(tmp_path: Path, mode: str) -> None:
    colours = {"RGBA": [(0, 0, 0, 0), (0, 0, 0, 255), (0, 0, 0, 51)], "LA": [(0, 0), (0, 255), (0, 51)]}[mode]
    image = Image.new(mode, (3, 1))
    for x, colour in enumerate(colours):
        image.putpixel((x, 0), colour)
    decoded = decode(saved(image, tmp_path / "a.png"))
    assert [decoded.getpixel((x, 0)) for x in range(3)] == [(255,) * 3, (0,) * 3, (204,) * 3]


def test_a_transparent_palette_colour_becomes_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    for path in (
        saved(image, tmp_path / "a.png", transparency=0),
        saved(image, tmp_path / "a.gif", transparency=0),
        saved(image, tmp_path / "b.png", transparency=b"\x00\xff"),
    ):
        decoded = decode(path)
        assert decoded.getpixel((0, 0)) == (255, 255, 255)
        assert decoded.getpixel((1, 0)) == (40, 50, 60)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_once(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    # what a camera stores, for each value of the tag
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
        6: np.rot90(upright), 7: np.rot90(upright, 2).T, 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    image = Image.fromarray(np.ascontiguousarray(stored))
    path = saved(image.convert("RGB"), tmp_path / f"a.{suffix}", exif=exif, **options)
    np.testing.assert_array_equal(np.asarray(decode(path))[:, :, 0], upright)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_exif_block_does_not_lose_the_image(tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (4, 4), "red"), tmp_path / "a.jpg", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff\x01")
    assert decode(path).size == (4, 4)


def test_the_first_frame_of_an_animation_counts(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert decode(path).getpixel((0, 0)) == (255, 0, 0)


def noise(side: int = 64) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8))


def test_errors_name_the_file_and_what_is_wrong(tmp_path: Path) -> None:
    jpeg = saved(noise(), tmp_path / "whole.jpg").read_bytes()
    cases = {
        "zero.jpg": (b"", "zero bytes"),
        "text.jpg": (b"<html>404 Not Found</html>", "not an image"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "head.jpg": (jpeg[:20], "truncated or damaged in its header"),
    }
    for name, (data, reason) in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        assert check_file(path).reason == reason
        with pytest.raises(DataError) as caught:
            decode(path)
        assert str(caught.value) == f"{path}: {reason}"
    assert check_file(tmp_path / "whole.jpg").reason is None
    assert check_file(tmp_path / "absent.jpg").reason == "no such file"
    assert check_file(tmp_path).reason == "is a directory"
    assert check_file(Path("nul\0.jpg")).reason == "not a file name"
    with pytest.raises(DataError, match=r"^an image of 0 bytes: zero bytes"):
        decode(b"")


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "bmp", "gif", "jp2", "ppm"])
def test_every_format_is_read_and_its_first_half_is_refused(tmp_path: Path, suffix: str) -> None:
    path = saved(noise(), tmp_path / f"a.{suffix}")
    assert f".{suffix}" in IMAGE_SUFFIXES
    assert decode(path).size == (64, 64)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert check_file(path).reason


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "gif"])
def test_damage_anywhere_ends_in_a_data_error_or_an_image(tmp_path: Path, suffix: str) -> None:
    data = saved(noise(16), tmp_path / f"a.{suffix}").read_bytes()
    rng = np.random.default_rng(2)
    for _ in range(150):
        broken = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            broken[place] = rng.integers(256)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert decode(bytes(broken)).mode == "RGB"
        except DataError:
            pass


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_500, 50_000])
@pytest.mark.parametrize("action", ["error", "ignore"])
def test_a_header_that_asks_for_too_much_memory_is_refused(side: int, action: str) -> None:
    assert side * side > MAX_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter(action)  # type: ignore[arg-type]
        with pytest.raises(DataError, match=f"pixels; at most {MAX_PIXELS} are decoded"):
            decode(png_header(side, side))


def test_postscript_is_not_executed() -> None:
    assert "EPS" not in FORMATS
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "EPS")
    with pytest.raises(DataError, match="not an image"):
        decode(file.getvalue())


def test_a_long_text_in_a_png_is_no_damage(tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("history", "x" * (3 * 2**20), zip=True)
    Image.new("RGB", (2, 2), "red").save(tmp_path / "a.png", pnginfo=info)
    assert decode(tmp_path / "a.png").getpixel((0, 0)) == (255, 0, 0)


def test_avif_is_read_where_pillow_reads_it(tmp_path: Path) -> None:
    from PIL import features

    if not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.avif")
    red, green, blue = decode(tmp_path / "a.avif").getpixel((0, 0))
    assert red > 240
    assert max(green, blue) < 15
    assert ".avif" in IMAGE_SUFFIXES


def test_warnings_of_the_decoder_are_counted_by_file_and_not_printed(tmp_path: Path) -> None:
    from lossbench.data import decoder_warnings as module

    shown: list[str] = []
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: shown.append(str(message))
        module.keep_decoder_warnings()
        warnings.showwarning(UserWarning("odd palette"), UserWarning, "/x/PIL/Image.py", 1)
        assert module.decoder_warning() == "odd palette"
        warnings.showwarning(UserWarning("of ours"), UserWarning, "/x/lossbench/a.py", 1)
        assert (shown, module.decoder_warning()) == (["of ours"], "odd palette")
        Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
        decode(tmp_path / "a.png")
        assert module.decoder_warning() is None
