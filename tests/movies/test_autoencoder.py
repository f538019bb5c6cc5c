"""What an autoencoder makes of a frame becomes particles, whatever the frame's size, greys and polarity."""

import json

import numpy as np
import pytest
from scipy import ndimage

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from emscout.errors import ModelError, NothingToFindError, UsageError  # noqa: E402
from emscout.models import (  # noqa: E402
    AUTOENCODER_INPUT_NAMES,
    AUTOENCODER_OUTPUT_NAMES,
    METADATA_KEY,
    load_autoencoder_model,
    load_model,
)
from emscout.movies import follow_particles  # noqa: E402
from emscout.movies.segmentation.autoencoder import area_bands, find_polarity, reconstruct, segment_autoencoder  # noqa: E402
from emscout.synthetic.particles import make_micrograph  # noqa: E402

STRIDE_PX, REACH_PX = 4, 8
DESCRIPTION = {
    "name": "blur",
    "task": "autoencoder",
    "stride_px": STRIDE_PX,
    "reach_px": REACH_PX,
    "settings": {},
}
ACROSS = np.exp(-0.5 * (np.arange(-4, 5) / 1.2) ** 2)
ACROSS /= ACROSS.sum()


def write_model(path, description=DESCRIPTION):
    """A network that reproduces its input blurred, as a narrow one does."""
    kernel = np.outer(ACROSS, ACROSS).astype(np.float32)
    shape = [1, 1, "height", "width"]
    convolution = helper.make_node("Conv", ["image", "kernel"], ["reconstruction"], pads=[4, 4, 4, 4])
    graph = helper.make_graph(
        [convolution],
        "blur",
        [helper.make_tensor_value_info(AUTOENCODER_INPUT_NAMES[0], TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(AUTOENCODER_OUTPUT_NAMES[0], TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(kernel[None, None], "kernel")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if description is not None:
        helper.set_model_props(model, {METADATA_KEY: json.dumps(description)})
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "blur.onnx")


@pytest.fixture(scope="module")
def frame():
    """Dark particles that lie apart, on even ground."""
    micrograph, labels, _ = make_micrograph(
        (203, 250), n_particles=30, diameter_px=(16, 2), vignetting=0, noise=0.06, seed=4
    )
    return micrograph.image, labels


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_particles_are_found_and_counted(frame, model):
    image, truth = frame
    found = segment_autoencoder(image, model)
    assert found.labels.shape == image.shape
    assert found.labels.max() == truth.max()
    assert dice(found.labels > 0, truth > 0) > 0.93


def test_particles_are_found_in_the_negative_too(frame, model):
    image, _ = frame
    negative = image.max() - image
    assert find_polarity(ndimage.gaussian_filter(image.astype(float), 1)) == "dark"
    np.testing.assert_array_equal(
        segment_autoencoder(negative, model, polarity="bright").labels > 0,
        segment_autoencoder(image, model, polarity="dark").labels > 0,
    )
    assert (segment_autoencoder(negative, model).labels > 0).mean() < 0.5


def test_the_scale_of_the_greys_does_not_matter(frame, model):
    image, _ = frame
    plain = segment_autoencoder(image, model, polarity="dark").labels
    scaled = segment_autoencoder(image.astype(np.float64) * 250.0 + 3000.0, model, polarity="dark").labels
    assert dice(plain > 0, scaled > 0) > 0.999


def test_touching_particles_are_cut_apart(model):
    rows, cols = np.indices((96, 128))
    image = np.full((96, 128), 200.0)
    for col in (40, 61, 100):
        image[(rows - 48) ** 2 + (cols - col) ** 2 <= 11**2] = 80.0
    image += np.random.default_rng(0).normal(0, 6, image.shape)
    assert segment_autoencoder(image, model, polarity="dark").labels.max() == 3
    assert segment_autoencoder(image, model, polarity="dark", split=False).labels.max() == 2


def test_a_frame_of_several_tiles_is_reproduced_without_a_seam(model):
    image = np.random.default_rng(1).uniform(50, 200, (790, 1601))
    blurred = ndimage.convolve1d(ndimage.convolve1d(image, ACROSS, axis=0), ACROSS, axis=1)
    np.testing.assert_allclose(reconstruct(image, load_autoencoder_model(model)), blurred, rtol=1e-5)


def test_a_reconstruction_has_the_greys_of_the_frame(frame, model):
    image, _ = frame
    reproduced = reconstruct(image, load_autoencoder_model(model))
    flat = ndimage.uniform_filter(image.astype(float), 9)
    assert abs(reproduced.mean() - image.mean()) < 0.02 * np.ptp(image)
    assert np.corrcoef(reproduced.ravel(), flat.ravel())[0, 1] > 0.95


def test_noise_alone_holds_no_particles(model):
    noise = np.random.default_rng(3).normal(100, 8, (200, 200))
    assert segment_autoencoder(noise, model).labels.max() == 0


def test_what_is_not_finite_is_no_particle(frame, model):
    image, truth = frame
    holed = image.astype(np.float32)
    holed[:, :40] = np.nan
    labels = segment_autoencoder(holed, model, polarity="dark").labels
    assert not labels[:, :40].any()
    assert dice(labels[:, 48:] > 0, truth[:, 48:] > 0) > 0.9


def test_bands_hold_the_areas_found_and_widen_with_noise(model):
    widths = []
    for noise in (0.02, 0.1):
        image = make_micrograph((160, 160), n_particles=15, diameter_px=(16, 2), vignetting=0, noise=noise, seed=1)[0]
        labels = segment_autoencoder(image.image, model, polarity="dark").labels
        bands = area_bands(image.image, model, labels, polarity="dark")
        areas = np.bincount(labels.ravel())[1:]
        assert bands["label"].tolist() == list(range(1, labels.max() + 1))
        assert (bands["area_low_px2"] <= areas).all()
        assert (bands["area_high_px2"] >= areas).all()
        widths.append(((bands["area_high_px2"] - bands["area_low_px2"]) / areas).mean())
    assert 0 < widths[0] < widths[1]


@pytest.mark.parametrize("image", [np.full((40, 40), 7, np.uint8), np.full((40, 40), np.nan)])
def test_an_image_without_contrast_is_refused(image, model):
    with pytest.raises(NothingToFindError):
        segment_autoencoder(image, model)


def test_a_foreign_network_is_refused(tmp_path):
    path = write_model(tmp_path / "foreign.onnx", description=None)
    with pytest.raises(ModelError, match="not a model of emscout"):
        load_autoencoder_model(path)


def test_networks_are_not_mistaken_for_one_another(model):
    with pytest.raises(ModelError, match="give one that finds particles"):
        load_model(model)
    with pytest.raises(ModelError, match="give one that reproduces"):
        load_autoencoder_model("particles-v2")


@pytest.mark.parametrize(
    "setting", [{"diameter": "20px"}, {"samples": 5}, {"min_probability": 0.5}, {"max_uncertainty": 0.1}]
)
def test_options_that_have_no_effect_on_an_autoencoder_are_refused(frame, model, setting):
    (name,) = setting
    with pytest.raises(UsageError, match=f"`{name}` has no effect on an autoencoder"):
        follow_particles([frame[0]] * 2, model=str(model), **setting)


def test_a_movie_is_followed_by_an_autoencoder(frame, model):
    image, truth = frame
    found = follow_particles([image] * 3, model=str(model))
    assert found.polarity == "dark"
    assert (found.curves["n"] == truth.max()).all()
