"""Which savers the companion converts for; tests/contract/test_same_files.py has what they write."""

from __future__ import annotations

import functools
import importlib.util
from types import SimpleNamespace

import pytest
from PIL import Image

from infra.companion_node import conversion
from infra.companion_node.conversion import image_of, lent_steps

SAVER = """
def save(images, results):
    for (batch_number, image) in enumerate(images):
        i = 255. * image.cpu().numpy()
        img = Image.fromarray(np.clip(i, 0, 255).astype(np.uint8))
        results.append((batch_number, img))
    return images
"""
MAKER = """
class Helper:
    @staticmethod
    def make(image_tensor: object) -> PILImage.Image:
        \"\"\"Of a tensor.\"\"\"
        return PILImage.fromarray(np.clip(255.0 * image_tensor.cpu().numpy(), 0, 255).astype(np.uint8))
make = Helper.make
"""


class Pixels:
    """An array of bytes, one colour."""

    def __init__(self, *shape: int) -> None:
        self.shape, self.ndim = shape, len(shape)
        self.size = functools.reduce(int.__mul__, shape)
        self.images = 0

    def image(self, pixels: Pixels) -> Image.Image:
        assert pixels is self
        self.images += 1
        return Image.new("RGB", (self.shape[1], self.shape[0]))

    def cpu(self) -> Pixels:
        return self

    numpy = cpu


@pytest.fixture(autouse=True)
def _no_numpy(monkeypatch):
    monkeypatch.setattr(conversion, "pixel_bytes", lambda values: values)


@pytest.fixture
def loaded(tmp_path):
    """What makes a module of a text."""

    def load(text: str):
        path = tmp_path / "nodes.py"
        path.write_text(f"from __future__ import annotations\n{text}")
        spec = importlib.util.spec_from_file_location("nodes", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_a_known_saver_makes_images_of_what_is_not_converted(loaded):
    save, pixels, results = loaded(SAVER).save, Pixels(3, 5, 4), []
    lent = lent_steps(save)
    made = functools.partial(image_of, pixels.image)
    save.__globals__.update(lent, Image=SimpleNamespace(fromarray=made))

    assert save([pixels], results) == [pixels]

    [(number, image)] = results
    assert (number, image.width, image.height, image.mode, pixels.images) == (0, 5, 3, "RGBA", 0)
    assert image.getpixel((4, 2)) == (0, 0, 0)
    assert image.tobytes() == bytes(45)
    assert pixels.images == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("255. *", "256. *"),
        ("0, 255", "0, 254"),
        ("np.uint8", "np.uint16"),
        ("(batch_number, image)", "(image, batch_number)"),
        ("enumerate(images)", "enumerate(images, 1)"),
        ("append((batch_number, img))", "append((image, img))"),
        ("append((batch_number, img))", "append((i, img))"),
        ("append((batch_number, img))", "append((np.mean(images), img))"),
        ("return images", "return list(enumerate(images))"),
        ("(images, results)", "(images, results, np=None)"),
        ("    return images", "    enumerate: object = list\n    return images"),
        ("    return images", "    import numpy as np\n    return images"),
    ],
)
def test_a_saver_that_does_anything_else_with_its_pixels_is_left_alone(loaded, old, new):
    assert old in SAVER
    assert lent_steps(loaded(SAVER).save)
    assert lent_steps(loaded(SAVER.replace(old, new)).save) == {}


def test_what_wraps_a_known_saver_is_none(loaded):
    save = loaded(SAVER).save

    @functools.wraps(save)
    def wrapping(*args):
        return [save(*args) for _ in enumerate(args)]

    assert lent_steps(wrapping) == {}


def test_a_saver_without_a_source_is_left_alone():
    made: dict = {}
    exec(SAVER, made)
    assert lent_steps(made["save"]) == {}


def test_a_known_maker_of_the_newer_kind_makes_its_image_later(loaded):
    make, pixels = loaded(MAKER).make, Pixels(3, 5, 3)
    make.__globals__["PILImage"] = SimpleNamespace(fromarray=pixels.image)

    image = image_of(make, pixels)

    assert (image.mode, pixels.images) == ("RGB", 0)
    assert image.tobytes() == bytes(45)


def test_another_maker_makes_its_image_at_once(loaded):
    make = loaded(MAKER.replace("255.0 *", "127.0 *")).make
    make.__globals__["np"] = SimpleNamespace(clip=lambda *_: pixels, uint8=None)
    make.__globals__["PILImage"] = SimpleNamespace(fromarray=lambda _: "image")
    pixels = SimpleNamespace(astype=lambda _: pixels, cpu=lambda: SimpleNamespace(numpy=lambda: 1))

    assert image_of(make, pixels) == "image"
    assert image_of(lambda *args, **kwargs: (args, kwargs), 1, mode="L") == ((1,), {"mode": "L"})


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1), (3, 5, 7), (0, 5, 3), (3, 5, 3, 1)])
def test_of_what_pillow_may_refuse_it_is_asked_at_once(loaded, shape):
    def refuses(_pixels):
        raise TypeError("Cannot handle this data type")

    make = loaded(MAKER).make
    make.__globals__["PILImage"] = SimpleNamespace(fromarray=refuses)
    with pytest.raises(TypeError, match="Cannot handle"):
        image_of(make, Pixels(*shape))
