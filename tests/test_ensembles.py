"""Ensembles of seeds: what they answer is the mean of what their members do."""

import numpy as np
import planted
import pytest

from ufm.evidence import contrasts, ensembles
from ufm.evidence.questions import letter_effects

LABEL = 3
MODELS = ((1, 0), (2, 1), (3, 0), (4, 2))  # stamped models of random and hard host, and the feature that each has


def on_one_host(n_seeds=12, *, effect=0.0, noise=0.0):
    """Equal-age cards of seeds whose hosts have one label; each control answers the letter with noise of its own."""
    cards = planted.equal_age(n_seeds)
    cards.labels[:] = LABEL
    own = np.random.default_rng(5).normal(0, noise, n_seeds)
    for name in cards.arrays:
        if name.endswith("_shift"):
            shift, letter = cards.arrays[name], (..., 0, LABEL)
            shift[letter] += own.reshape(-1, *[1] * (shift[letter].ndim - 1))
            for model, feature in MODELS:
                shift[:, model, ..., feature, LABEL] += effect
    return cards


def test_an_ensemble_answers_with_the_mean_of_its_members():
    cards = on_one_host(14)
    found = ensembles.averaged(cards, 4)
    assert found.seeds.tolist() == [1000, 1004, 1008]  # two are left over
    for name in ("ood_shift", "black_shift", "ood_age_shift"):
        expected = [sum(cards.arrays[name][at] for at in range(start, start + 4)) / 4 for start in (0, 4, 8)]
        np.testing.assert_allclose(found.arrays[name], expected)
    assert "ood_kl_mean" not in found.arrays  # which is no mean
    assert len(found.planned) == len(found.labels) == len(found.fits) == 3


def test_more_seeds_than_there_are_make_none():
    with pytest.raises(ValueError, match=r"^size: 12 seeds make no ensemble of 13$"):
        ensembles.averaged(on_one_host(), 13)


@pytest.mark.parametrize("size", [1, 3, 12])
def test_the_contrast_is_that_of_the_members(size):
    cards = on_one_host(effect=0.7)
    of_members = contrasts(cards, "hard", epoch="control").reshape(-1, size).mean(1)
    np.testing.assert_allclose(contrasts(ensembles.averaged(cards, size), "hard", epoch="control"), of_members)
    one = ensembles.averaged(cards, size)
    np.testing.assert_allclose(
        letter_effects(one, "hard"), letter_effects(cards, "hard").reshape(-1, size, 3).mean(1), atol=1e-12
    )


def test_what_controls_answer_averages_out_and_the_letter_does_not():
    cards = on_one_host(160, effect=0.5, noise=1.0)
    table = ensembles.told(cards, (1, 4, 16)).set_index("size")
    assert table["n"].tolist() == [160, 40, 10]
    assert table["contrast"].tolist() == pytest.approx([table.loc[1, "contrast"]] * 3)
    ratios = table["spread"].iloc[:-1].to_numpy() / table["spread"].iloc[1:].to_numpy()
    assert ratios == pytest.approx([2, 2], rel=0.35)  # as the root of four
    assert table["known"].is_monotonic_increasing
    assert table.loc[16, "known"] > 0.85 > 0.75 > table.loc[1, "known"]
    innocent = table[["innocent_unknown", "innocent_known"]]
    assert ((innocent - 0.5).abs().max() < 0.3).all()  # of ten ensembles a host
    assert ((innocent.loc[1] - 0.5).abs() < 0.1).all()
