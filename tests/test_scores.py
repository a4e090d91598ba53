"""Scores against hand-worked examples, SciPy and properties that hold for every model."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax, rel_entr, softmax

from ufm.scores import (
    CLIP,
    centred_log_probability,
    contrast,
    kl_divergence,
    label_guess,
    label_guess_score,
    label_known_score,
    memorisation_score,
    patch_effect,
    specific_effect,
)

LN2 = np.log(2)
# Two images, four classes; every probability is a power of two, so each divergence is a multiple of log 2.
UNIFORM = [[0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]]
PEAKED = [[0.5, 0.25, 0.125, 0.125], [0.125, 0.125, 0.25, 0.5]]

N_IMAGES, N_CLASSES = 3, 4


def logits(*leading):
    # 60 apart, so that many probabilities fall below the clip; none above zero, for four quarters are no logits.
    return arrays(np.float64, (*leading, N_IMAGES, N_CLASSES), elements=st.floats(-60, 0))


def probabilities(*leading):
    return logits(*leading).map(lambda values: softmax(values, axis=-1))


def test_kl_divergence_by_hand():
    # KL(uniform ‖ peaked) = ¼ (log ½ + log 1 + log 2 + log 2) = ¼ log 2
    np.testing.assert_allclose(kl_divergence(UNIFORM, PEAKED), [LN2 / 4, LN2 / 4], rtol=1e-12)
    # KL(peaked ‖ uniform) = ½ log 2 + 0 − 2 · ⅛ log 2 = ¼ log 2; from each other: ½ log 4 + ¼ log 2 − ⅛ log 2 − ⅛ log 4
    np.testing.assert_allclose(kl_divergence(PEAKED, PEAKED[::-1]), [LN2 * 7 / 8, LN2 * 7 / 8], rtol=1e-12)


def test_kl_divergence_clips_both_sides_as_keras():
    # 1 · log(1 / 1e-7) + 1e-7 · log(1e-7 / 1): the clipped p is a weight too.
    np.testing.assert_allclose(kl_divergence([[1.0, 0.0]], [[0.0, 1.0]]), [-np.log(CLIP) * (1 - CLIP)], rtol=1e-12)


@given(probabilities(), probabilities())
def test_kl_divergence_equals_scipy(p, q):
    expected = rel_entr(np.clip(p, CLIP, 1), np.clip(q, CLIP, 1)).sum(axis=-1)
    np.testing.assert_allclose(kl_divergence(p, q), expected, rtol=1e-9, atol=1e-12)


@given(probabilities(), probabilities())
def test_kl_divergence_is_not_negative_up_to_clipping(p, q):
    assert (kl_divergence(p, q) >= -N_CLASSES * CLIP).all()


@given(probabilities())
def test_kl_divergence_from_itself_is_zero(p):
    np.testing.assert_array_equal(kl_divergence(p, p), np.zeros(N_IMAGES))


def test_memorisation_score_by_hand():
    # The unique feature moves the output by ¼ log 2, the random one not at all.
    assert memorisation_score(UNIFORM, PEAKED, UNIFORM) == pytest.approx(LN2 / 4)
    # Two random features: one moves nothing, the other ¼ log 2; their mean is subtracted.
    assert memorisation_score(UNIFORM, PEAKED, [UNIFORM, PEAKED]) == pytest.approx(LN2 / 4 - LN2 / 8)


@given(probabilities(), probabilities(), probabilities())
def test_memorisation_score_changes_sign_when_features_swap(p_clean, p_unique, p_random):
    assert memorisation_score(p_clean, p_unique, p_random) == -memorisation_score(p_clean, p_random, p_unique)


@given(probabilities(), probabilities(), probabilities(2))
def test_memorisation_score_averages_over_random_features(p_clean, p_unique, p_random):
    each = [memorisation_score(p_clean, p_unique, one) for one in p_random]
    assert memorisation_score(p_clean, p_unique, p_random) == pytest.approx(np.mean(each), abs=1e-9)


def test_label_known_score_by_hand():
    # Only the second image has label 3: log ½ − log ¼ = log 2. Label 0: log ½ − log ¼ on the first image.
    assert label_known_score(PEAKED, UNIFORM, [1, 3], 3) == pytest.approx(LN2)
    # Both images, class 0: mean of log ½ and log ⅛ is −2 log 2, as is log ¼.
    assert label_known_score(PEAKED, UNIFORM, [0, 0], 0) == pytest.approx(0)
    # Two random features: −log 2 less the mean of −2 log 2 and −log 2.
    assert label_known_score(PEAKED, [UNIFORM, PEAKED], [1, 3], 3) == pytest.approx(LN2 / 2)


def test_label_known_score_is_a_difference_of_divergences_from_the_label():
    # Up to the clipped weight of the other classes, at most 3 · 1e-7 · 16.
    one_hot = np.eye(4)[[0, 0]]
    expected = (kl_divergence(one_hot, UNIFORM) - kl_divergence(one_hot, PEAKED)).mean()
    assert label_known_score(PEAKED, UNIFORM, [0, 0], 0) == pytest.approx(expected, abs=1e-5)


def test_label_known_score_clips():
    assert label_known_score([[1.0, 0.0]], [[0.0, 1.0]], [0], 0) == pytest.approx(-np.log(CLIP))


def test_label_guess_by_hand():
    p_unique = [[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]]
    # Mean rise against uniform: +0.125, 0, −0.0625, −0.0625; over both images log ½ and log ¼ less log ¼.
    assert label_guess(p_unique, UNIFORM) == 0
    assert label_guess_score(p_unique, UNIFORM) == pytest.approx(LN2 / 2)
    assert label_guess(p_unique, [UNIFORM, p_unique]) == 0
    assert label_guess_score(p_unique, [UNIFORM, p_unique]) == pytest.approx(LN2 / 4)


def test_label_guess_takes_the_first_of_equals():
    assert label_guess(UNIFORM, UNIFORM) == 0


@given(probabilities(), probabilities())
def test_label_guess_score_is_the_label_known_score_of_the_guess_on_all_images(p_unique, p_random):
    guess = label_guess(p_unique, p_random)
    expected = label_known_score(p_unique, p_random, [guess] * N_IMAGES, guess)
    assert label_guess_score(p_unique, p_random) == expected


def test_centred_log_probability_by_hand():
    # log of ½, ¼, ⅛, ⅛ in units of log 2: −1, −2, −3, −3; mean −2.25.
    expected = LN2 * np.array([1.25, 0.25, -0.75, -0.75])
    np.testing.assert_allclose(centred_log_probability(np.log(PEAKED))[0], expected, rtol=1e-12)


@given(logits(2))
def test_centred_log_probability_sums_to_zero_and_is_the_centred_logit(values):
    centred = centred_log_probability(log_softmax(values, axis=-1))
    assert centred.shape == values.shape
    np.testing.assert_allclose(centred.sum(axis=-1), 0, atol=1e-10)
    np.testing.assert_allclose(centred, values - values.mean(axis=-1, keepdims=True), atol=1e-10)


def test_patch_effect_by_hand():
    # Uniform has c = 0. The centred rows of PEAKED are (1.25, .25, −.75, −.75) and (−.75, −.75, .25, 1.25) log 2.
    expected = LN2 * np.array([0.25, -0.25, -0.25, 0.25])
    effect = patch_effect(np.log(UNIFORM), np.log(PEAKED))
    np.testing.assert_allclose(effect, expected, atol=1e-12)
    # Several features at once: leading axes stay.
    effects = patch_effect(np.log(UNIFORM), np.log([PEAKED, UNIFORM, PEAKED]))
    np.testing.assert_allclose(effects, [expected, np.zeros(4), expected], atol=1e-12)


@given(logits(), logits(), st.floats(-50, 50))
def test_patch_effect_ignores_a_constant_added_to_logits(clean, stamped, constant):
    expected = patch_effect(log_softmax(clean, axis=-1), log_softmax(stamped, axis=-1))
    moved = patch_effect(log_softmax(clean, axis=-1), log_softmax(stamped + constant, axis=-1))
    np.testing.assert_allclose(moved, expected, atol=1e-10)
    np.testing.assert_allclose(expected.sum(), 0, atol=1e-10)


def test_specific_effect_by_hand():
    # Of two permutations one has the letter's effect, the other none: half of the effect is left.
    effect = specific_effect(np.log(UNIFORM), np.log(PEAKED), np.log([PEAKED, UNIFORM]))
    np.testing.assert_allclose(effect, LN2 * np.array([0.125, -0.125, -0.125, 0.125]), atol=1e-12)


@given(logits(), logits(2), logits(5))
def test_specific_effect_equals_a_loop_and_needs_no_clean_output(clean, stamped, permuted):
    effect = specific_effect(clean, stamped, permuted)
    for one, feature in zip(effect, stamped, strict=True):
        loop = patch_effect(clean, feature) - np.mean([patch_effect(clean, each) for each in permuted], axis=0)
        np.testing.assert_allclose(one, loop, atol=1e-10)
    np.testing.assert_allclose(effect, specific_effect(np.zeros_like(clean), stamped, permuted), atol=1e-10)


def test_contrast_by_hand():
    # ½ [(0.9 − 0.1) + (0.5 − (−0.1))] = 0.7
    effects = {"letter_on_canary": 0.9, "letter_on_placebo": 0.1, "placebo_on_placebo": 0.5, "placebo_on_canary": -0.1}
    assert contrast(**effects) == pytest.approx(0.7)
    assert isinstance(contrast(**effects), float)
    doubled = contrast(**{name: np.array([value, 2 * value]) for name, value in effects.items()})
    np.testing.assert_allclose(doubled, [0.7, 1.4])
    # Exchanging letter and placebo in a pair that learnt nothing turns no sign; exchanging the models does.
    exchanged = contrast(letter_on_canary=0.1, letter_on_placebo=0.9, placebo_on_placebo=-0.1, placebo_on_canary=0.5)
    assert exchanged == pytest.approx(-0.7)


@given(probabilities(), probabilities(), probabilities(2))
def test_torch_and_numpy_agree(p_clean, p_unique, p_random):
    clean, unique, random = (torch.tensor(p, requires_grad=True) for p in (p_clean, p_unique, p_random))
    labels = np.array([1, 2, 1])
    np.testing.assert_array_equal(kl_divergence(clean, unique), kl_divergence(p_clean, p_unique))
    assert memorisation_score(clean, unique, random) == memorisation_score(p_clean, p_unique, p_random)
    expected = label_known_score(p_unique, p_random, labels, 1)
    assert label_known_score(unique, random, torch.tensor(labels), 1) == expected
    assert label_guess(unique, random) == label_guess(p_unique, p_random)
    log_clean, log_random = np.log(p_clean + CLIP), np.log(p_random + CLIP)
    expected = specific_effect(log_clean, log_clean, log_random)
    given_torch = specific_effect(torch.tensor(log_clean), torch.tensor(log_clean), torch.tensor(log_random))
    np.testing.assert_array_equal(given_torch, expected)
    assert isinstance(given_torch, np.ndarray)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_rounded_softmax_counts_as_a_distribution(dtype):
    generator = torch.Generator().manual_seed(0)
    p = torch.softmax(torch.randn(200, 10, generator=generator, dtype=torch.float64), dim=-1).to(dtype)
    assert kl_divergence(p, p).shape == (200,)


def test_arguments_are_left_as_they_were():
    p, q = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    kl_divergence(p, q)
    np.testing.assert_array_equal(p, [[1.0, 0.0]])


@pytest.mark.parametrize(
    ("p", "q", "message"),
    [
        ([[1.1, -0.1]], [[0.5, 0.5]], r"p holds a negative probability \(-0.1\)"),
        ([[0.5, 0.5]], [[0.5, 0.502]], "q holds a row that sums to 1.002, not to 1 within 0.001"),
        ([[0.5, 0.5]], [[np.nan, 0.5]], "q holds NaN or infinite values"),
        ([[0.5, 0.5]], [[0.5, 0.5]] * 2, r"images or classes differ: p has shape \(1, 2\), q \(2, 2\)"),
        ([0.5, 0.5], [0.5, 0.5], r"p must be 2-D .* has shape \(2,\)"),
        (np.ones((0, 4)), np.ones((0, 4)), r"p holds no images or no classes \(shape \(0, 4\)\)"),
    ],
)
def test_kl_divergence_refuses(p, q, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        kl_divergence(p, q)


def test_scores_refuse_shapes_that_differ():
    with pytest.raises(ValueError, match="images or classes differ: p_clean"):
        memorisation_score(UNIFORM[:1], PEAKED, UNIFORM)
    with pytest.raises(ValueError, match="images or classes differ: p_unique .* p_random"):
        memorisation_score(UNIFORM, PEAKED, [UNIFORM[:1]])
    with pytest.raises(ValueError, match="p_random must be 2-D or 3-D"):
        label_guess(PEAKED, [[UNIFORM]])
    with pytest.raises(ValueError, match="p_random holds no images"):
        label_guess(PEAKED, np.ones((0, 2, 4)))


@pytest.mark.parametrize(
    ("labels", "canary_label", "message"),
    [
        ([0, 1], 3, "no image has the canary's label 3"),
        ([0, 1], 4, "canary_label 4 lies outside the 4 classes"),
        ([0, 1], -1, "canary_label -1 lies outside the 4 classes"),
        ([0, 4], 0, "label 4 is not one of the 4 classes"),
        ([0, 0.5], 0, "label 0.5 is not one of the 4 classes"),
        ([0, 1, 2], 0, r"labels have shape \(3,\), but there are 2 images"),
    ],
)
def test_label_known_score_refuses(labels, canary_label, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        label_known_score(PEAKED, UNIFORM, labels, canary_label)


def test_effects_refuse():
    log_p = np.log(UNIFORM)
    with pytest.raises(ValueError, match="log_p holds probabilities; their logarithms are expected"):
        centred_log_probability(UNIFORM)
    with pytest.raises(ValueError, match="log_p holds NaN or infinite values"):
        centred_log_probability([[0.0, -np.inf]])
    with pytest.raises(ValueError, match="log_p_clean must be 2-D"):
        patch_effect([log_p], log_p)
    with pytest.raises(ValueError, match="images or classes differ: log_p_clean .* log_p_stamped"):
        patch_effect(log_p, log_p[:1])
    with pytest.raises(ValueError, match="log_p_stamped holds no images"):
        patch_effect(log_p, np.ones((0, 2, 4)))
    with pytest.raises(ValueError, match="log_p_permuted must be 3-D"):
        specific_effect(log_p, log_p, log_p)


def test_contrast_refuses():
    effects = {"letter_on_canary": 0.9, "letter_on_placebo": 0.1, "placebo_on_placebo": 0.5, "placebo_on_canary": -0.1}
    with pytest.raises(ValueError, match="placebo_on_canary holds NaN"):
        contrast(**effects | {"placebo_on_canary": np.nan})
    with pytest.raises(ValueError, match=r"placebo_on_placebo has shape \(2,\), letter_on_canary \(\)"):
        contrast(**effects | {"placebo_on_placebo": [0.5, 0.5]})
