"""Random numbers by counter against the textbook's generator, which knows no tensors."""

import numpy as np
import pytest
import torch

from ufm.randomness import counters
from ufm.randomness.streams import stream

MASK = 2**64 - 1


def splitmix64(seed, count):
    """The first outputs of SplitMix64, as its authors write it in C."""
    state, outputs = seed & MASK, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        outputs.append(z ^ (z >> 31))
    return outputs


def splitmix64_at(seed, number):
    """Output of a number, from 1: the state before it is the seed and number − 1 increments."""
    return splitmix64(seed + (number - 1) * 0x9E3779B97F4A7C15, 1)[0]


def draw(*keys, step=0, layer=0, n):
    return counters.uniforms(torch.tensor(keys), step=step, layer=layer, n=n)


def test_the_textbooks_generator_gives_its_published_numbers():
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert splitmix64(1234567, 4) == published
    assert [splitmix64_at(1234567, number) for number in (1, 2, 3, 4)] == published


@pytest.mark.parametrize("key", [0, 1, -1, 1234567, 2**63 - 1, -(2**63)])
def test_numbers_are_the_generators_first_ones(key):
    assert draw(key, n=200)[0].tolist() == [(output >> 40) / 2**24 for output in splitmix64(key, 200)]


@pytest.mark.parametrize(("step", "layer"), [(0, 1), (1, 0), (7, 63), (469 * 100, 5), (2**28, 63)])
def test_each_step_and_layer_has_its_own_stretch_of_the_sequence(step, layer):
    keys = (3, -(2**62) - 5)
    found = draw(*keys, step=step, layer=layer, n=50)
    for row, key in zip(found.tolist(), keys, strict=True):
        first = (step * 64 + layer) * 2**28 + 1
        assert row == [(splitmix64_at(key, first + place) >> 40) / 2**24 for place in range(50)]


def test_places_far_out_are_those_of_the_sequence():
    found = draw(42, step=3, layer=2, n=2_000_000)[0]
    for place in (999_999, 1_999_999):
        assert found[place].item() == (splitmix64_at(42, (3 * 64 + 2) * 2**28 + place + 1) >> 40) / 2**24


def test_numbers_are_uniform_on_the_unit_interval():
    found = draw(5, 6, step=9, layer=1, n=500_000)
    assert (found.dtype, found.shape) == (torch.float32, (2, 500_000))
    assert found.min() >= 0
    assert found.max() < 1
    assert torch.equal(found * 2**24, (found * 2**24).round())
    # A mean of n is off by √(1 / 12 n); a tenth of them lies in each tenth.
    for row in found.double():
        assert row.mean().item() == pytest.approx(0.5, abs=0.002)
        assert row.var().item() == pytest.approx(1 / 12, abs=0.001)
        np.testing.assert_allclose(torch.histc(row, 10, 0, 1) / len(row), 0.1, atol=0.002)


def correlation(one, other):
    return abs(np.corrcoef(one, other)[0, 1])


def test_keys_steps_layers_and_neighbours_are_independent():
    rows = [draw(key, step=step, layer=layer, n=100_000)[0] for key, step, layer in OTHERS]
    rows.append(rows[0].roll(1))
    for place, one in enumerate(rows):
        for other in rows[:place]:
            assert correlation(one, other) < 0.015


OTHERS = [(1, 0, 0), (2, 0, 0), (-1, 0, 0), (1, 1, 0), (1, 0, 1), (2, 1, 1)]


def test_the_first_of_many_are_the_few():
    many = draw(8, -9, step=4, layer=3, n=1_000)
    for n in (0, 1, 17, 1_000):
        assert torch.equal(draw(8, -9, step=4, layer=3, n=n), many[:, :n])


def test_a_key_draws_the_same_whatever_the_others_are():
    rows = draw(8, -9, 77, step=4, layer=3, n=100)
    assert torch.equal(draw(-9, step=4, layer=3, n=100)[0], rows[1])
    assert torch.equal(draw(77, 5, -9, 8, step=4, layer=3, n=100)[[3, 2, 0]], rows)


def test_keys_are_the_streams():
    key = counters.key("dropout", seed=3, scope="digits/400")
    assert key == int(stream("dropout", seed=3, scope="digits/400").integers(-(2**63), 2**63, dtype="int64"))
    others = [
        counters.key("augmentation", seed=3, scope="digits/400"),
        counters.key("dropout", seed=4, scope="digits/400"),
        counters.key("dropout", seed=3, scope="digits/full"),
        *(counters.key("dropout", seed=seed) for seed in range(200)),
    ]
    assert len({key, *others}) == 204
    assert -(2**63) <= min(others) < -(2**61)  # both halves of the range are used
    assert 2**61 < max(others) < 2**63


@pytest.mark.parametrize(("layer", "n"), [(-1, 1), (64, 1), (0, 2**28 + 1)])
def test_what_a_step_has_no_room_for_is_refused(layer, n):
    with pytest.raises(ValueError, match=f"^layer {layer} or n {n} is beyond what a step has room for$"):
        draw(1, layer=layer, n=n)
