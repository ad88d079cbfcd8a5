"""The examples: what is committed is what they say it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from examples import digits
from examples.export import export
from examples.train import RECIPES, accuracy, train, trained

NAMES = list(RECIPES)


def test_the_parts_are_disjoint_and_whole():
    train_part, test_part = digits.load()
    assert (len(train_part.labels), len(test_part.labels)) == (1297, 500)
    images = np.concatenate([train_part.images, test_part.images])
    assert images.dtype == np.float32
    assert images.min() == 0 and images.max() == 1
    assert len(np.unique(images.reshape(1797, 64), axis=0)) == 1797


def test_the_split_is_the_same_on_every_machine():
    _, test_part = digits.load()
    assert test_part.labels[:12].tolist() == [8, 0, 1, 6, 6, 1, 3, 3, 1, 2, 3, 7]
    assert np.bincount(test_part.labels).tolist() == [60, 56, 41, 58, 51, 50, 51, 46, 50, 37]


def test_calibration_sees_training_images_alone():
    train_part, _ = digits.load()
    assert np.array_equal(digits.calibration(), train_part.images[: digits.CALIBRATION])


@pytest.mark.parametrize("name", NAMES)
def test_committed_weights_reach_the_stated_accuracy(name):
    _, test_part = digits.load()
    assert accuracy(trained(name), test_part) >= RECIPES[name].accuracy


@pytest.mark.parametrize("name", NAMES)
def test_networks_are_small(name):
    parameters = sum(p.numel() for p in trained(name).parameters())
    assert 10_000 <= parameters <= 60_000
    assert RECIPES[name].example.WEIGHTS.stat().st_size < 300_000


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_gives_what_its_images_give(name):
    net, images = trained(name), torch.from_numpy(digits.load()[1].images[:8])
    with torch.inference_mode():
        together, alone = net(images), torch.cat([net(image[None]) for image in images])
    assert torch.allclose(together, alone, atol=1e-5)
    assert together.shape == (8, 10)


@pytest.mark.parametrize("name", NAMES)
def test_training_twice_gives_the_same_bytes(name):
    short = replace(RECIPES[name], epochs=1)
    first, second = train(short).state_dict(), train(short).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    other = train(short, seed=1).state_dict()
    assert not all(torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize(("epochs", "rate", "share"), [(0, 0.1, 0.5), (1, 0.0, 0.5), (1, 0.1, 1.5)])
def test_impossible_recipes_are_refused(epochs, rate, share):
    with pytest.raises(ValueError, match="impossible recipe"):
        replace(RECIPES["gated_conv"], epochs=epochs, rate=rate, accuracy=share)


def test_export_writes_what_the_command_line_reads(tmp_path):
    paths = export(tmp_path / "out")
    assert [path.name for path in paths] == ["gated_conv.pt", "glu_classifier.pt", "calib.npz"]
    with np.load(paths[-1]) as data:
        assert list(data) == ["x"]
        assert np.array_equal(data["x"], digits.calibration())
