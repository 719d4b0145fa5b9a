from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_faces import pack_toy_faces

from maskgan_lib.data.batches import to_float_image
from maskgan_lib.data.resizing import resized
from maskgan_lib.evaluation.methods import method_of
from maskgan_lib.evaluation.metrics import psnr
from maskgan_lib.evaluation.secgan import SeCGANGrader
from maskgan_lib.evaluation.tasks import to_give_back
from maskgan_lib.methods.secgan import SeCGANGenerator


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return pack_toy_faces(tmp_path_factory.mktemp("toy") / "faces", 6, 32, ("train", "test"))


def test_only_the_faces_asked_for_are_there_with_what_is_known_of_them(faces):
    small = resized(faces, faces.indices("test"), 16)
    assert len(small) == 3 and small.size == 16 and small.source == "toy faces, resized to 16 x 16 pixels"
    assert [record.id for record in small.records] == ["toy-1", "toy-3", "toy-5"]
    assert np.array_equal(small.attribute("Smiling"), faces.attribute("Smiling")[1::2])
    images, masks = small.read(small.indices("test"))
    assert images.shape == (3, 16, 16, 3) and masks.shape == (3, 16, 16)
    shrunk = faces.images[1::2].reshape(3, 16, 2, 16, 2, 3).mean((2, 4))
    assert abs(images - shrunk).mean() < 4
    same = resized(faces, np.arange(6), 32)
    assert np.array_equal(same.images, faces.images) and np.array_equal(same.masks, faces.masks)


@settings(max_examples=20, deadline=None)
@given(place=st.integers(0, 5), size=st.sampled_from([8, 16]))
def test_a_pixel_gets_a_class_that_no_other_has_more_of(faces, place, size):
    mask = resized(faces, np.array([place]), size).masks[0]
    step = 32 // size
    for y, x in np.ndindex(size, size):
        counts = np.bincount(faces.masks[place][y * step : (y + 1) * step, x * step : (x + 1) * step].ravel())
        assert counts[mask[y, x]] == counts.max()


def test_a_network_of_another_size_has_one_psnr_whoever_asks(faces):
    """As a command measures resized faces, as SeCGAN's table looks at photos, and as a method answers a request."""
    network = SeCGANGenerator(["Smiling"], width=4, blocks=1).eval()
    nothing = torch.zeros(6, 1)
    judges = SimpleNamespace(attribute_names=("Smiling",), attributes=lambda images: images.mean(dim=(2, 3)))
    seen = [
        to_float_image(np.array(resized(faces, np.arange(6), 16).images)),
        next(SeCGANGrader(faces, np.arange(6), judges).batches(slice(0, 6), 16, ["Smiling"]))[0],
    ]
    request = next(to_give_back(faces, np.arange(6)))
    with torch.no_grad():
        of_command, of_table = (psnr(network(images, nothing), images).mean().item() for images in seen)
        asked = []
        network.register_forward_pre_hook(lambda _, given: asked.append(given[0]))
        method_of("SeCGAN", network, 16).make(request)
    assert torch.equal(asked[0], seen[1]) and request.target.shape[-1] == 32
    assert of_command == pytest.approx(of_table, abs=0.02), "but for the rounding to bytes"
