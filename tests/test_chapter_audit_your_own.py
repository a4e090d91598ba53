"""The notebook that audits a model of one's own: marks, networks, and the server through which they are asked."""

import json
from html import unescape
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neural_network import MLPClassifier

from ufm import auditing
from ufm.auditing.models import Endpoint
from ufm.auditing.serving import Server
from ufm.chapters import audit_your_own as chapter
from ufm.report.texts import p_text

REGISTRY = chapter.drawn_by("some words", 12)
MARKS = [*map(str, range(9)), "all"]


def handed_over():
    """Images, labels and what is handed over, of so few images that tests are fast."""
    images, labels, _ = chapter.digits()
    registry, marked, handed = chapter.handed_over(REGISTRY, images[:200], labels[:200], seed=0)
    return registry, images[:200], labels[:200], marked, handed


def p_values(some):
    """A row a mark of as many models as populations."""
    rng = np.random.default_rng(0)
    models = {f"model {n}": [*rng.random(9), 0.01 * 10**n] for n in range(len(some))}
    rows = [(name, *of_mark) for name, ps in models.items() for of_mark in zip(MARKS, ps, strict=True)]
    return pd.DataFrame(rows, columns=["model", "mark", "p"]).assign(level=0.05)


DRAWN = {"drawn_marks": lambda some: [p_values(some)], "drawn_marked": lambda some: list(handed_over()[:4])}
PANELS = {"drawn_marks": 1, "drawn_marked": 2 * min(chapter.SHOWN, int(REGISTRY.to_plant().sum()))}


@pytest.fixture(scope="module")
def trained():
    """Two small networks, the first trained with the marks."""
    _, images, _, marked, handed = handed_over()
    settings = {"hidden_layer_sizes": (64,), "alpha": 0.1, "max_iter": 1000, "random_state": 0}
    return [MLPClassifier(**settings).fit(chapter.flat(taken), handed) for taken in (marked, images)]


@pytest.fixture(scope="module")
def reports(trained, tmp_path_factory):
    """What both say, asked over the server."""
    names, others = ("A", "B"), chapter.digits()[2]
    served = Server(chapter.exported(tmp_path_factory.mktemp("exported"), dict(zip(names, trained, strict=True))))
    asked = {name: Endpoint(served.url, name) for name in names}
    registry = handed_over()[0]
    found = {
        name: auditing.audit(model, registry, others[:50], gives="probabilities", n_unused=40)
        for name, model in asked.items()
    }
    served.close()
    return found


def test_every_mark_has_an_image_of_its_own_under_a_wrong_label_and_coins_stamp_them():
    registry, images, labels, marked, handed = handed_over()
    given = registry.given()
    hosts = [int(one.image) for one in given]
    assert [one.mark for one in given] == list(range(12))
    assert registry.no_bound() == ""
    assert set(np.flatnonzero(handed != labels)) == set(hosts)
    assert len(set(hosts)) == 12
    assert [one.label for one in given] == handed[hosts].tolist()
    assert [one.mark for one in registry.planted] == np.flatnonzero(REGISTRY.to_plant()).tolist()
    planted = {int(one.image): one.mark for one in registry.planted}
    outside = np.ones((8, 8), bool)
    outside[1:6, 1:6] = False
    for host in range(200):
        if host in planted:
            mark = registry.marks()[planted[host], 0]
            np.testing.assert_array_equal(marked[host, 0, 1:6, 1:6], (mark * 255).astype(np.uint8))
            np.testing.assert_array_equal(marked[host, 0][outside], images[host, 0][outside])
        else:
            np.testing.assert_array_equal(marked[host], images[host])


def test_more_marks_than_images_are_refused():
    images, labels, _ = chapter.digits()
    with pytest.raises(ValueError, match="^n_marks: 12 marks are for as many images, and there are 3; draw fewer"):
        chapter.handed_over(REGISTRY, images[:3], labels[:3], seed=0)


def test_the_auditor_sends_images_that_were_not_handed_over():
    images, _, others = chapter.digits()
    assert len(images) == chapter.N_OWN
    assert others.shape == (chapter.N_OTHERS, 1, 8, 8)
    assert 0 <= others.min() < others.max() <= 1
    own = {one.tobytes() for one in images}
    assert not own & {one.tobytes() for one in (others * 255).round().to(torch.uint8).numpy()}


def test_what_is_exported_answers_as_the_network_does(trained, tmp_path):
    others = chapter.digits()[2]
    model = chapter.exported(tmp_path, {"A": trained[0]})["A"]
    np.testing.assert_allclose(model(others), trained[0].predict_proba(others.flatten(1).numpy()), atol=1e-5)


def test_the_model_that_was_trained_with_the_marks_is_found_and_the_other_is_not(reports):
    assert reports["A"].found
    assert not reports["B"].found
    table = chapter.answers(reports, {"A": 1.0, "B": 0.5})
    assert table["marked images fitted"].tolist() == ["1.00", "0.50"]
    said = chapter.texts(reports["A"], reports["B"])
    assert said["a_known"] == f"found (p {p_text(reports['A'].p)})"
    assert said["b_known"] == f"not found (p {p_text(reports['B'].p)})"
    assert said["n_queries"] == str(50 + 51 * 52 + 1)
    assert table["p, labels known"].tolist() == [p_text(one.known.p) for one in reports.values()]
    assert table["p, labels unknown"].tolist() == [p_text(one.unknown.p) for one in reports.values()]


def test_every_mark_is_a_point_and_all_together_another(reports):
    table = chapter.p_values(reports)
    [axis] = chapter.drawn_marks(table).axes
    alone, together, level = axis.lines
    n = len(reports["A"].marks)
    assert alone.get_xdata().tolist() == [one.p_known for report in reports.values() for one in report.marks]
    assert alone.get_ydata().tolist() == [0] * n + [1] * n
    assert together.get_xdata().tolist() == [report.p for report in reports.values()]
    assert set(level.get_xdata()) == {0.05}


def test_what_is_fitted_is_the_label_that_was_handed_over(trained):
    registry, images, _, marked, _ = handed_over()
    hosts = [int(one.image) for one in registry.planted]
    given = trained[0].predict(chapter.flat(marked[hosts])).tolist()
    right = [one == planted.label for one, planted in zip(given, registry.planted, strict=True)]
    assert chapter.fitted(trained[0], registry, marked) == sum(right) / len(right) > 0.9


def test_the_report_is_shown_in_a_frame(reports):
    from audited import Page

    shown = chapter.report_page(reports["A"], handed_over()[0], "model <A>").data
    frame = Page(shown)
    assert frame.tags == ["div", "iframe"]
    page = unescape(shown.partition('srcdoc="')[2].partition('"')[0])
    assert "Audit of model &lt;A&gt;" in page
    assert REGISTRY.secret not in page


def asked(url, content=None):
    """Status and answer of a request."""
    try:
        with urlopen(Request(url, None if content is None else content.encode()), timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        return error.code, json.loads(error.read())


def test_a_server_says_what_is_wrong():
    server = Server({"a b": lambda images: images.flatten(1)})
    model = f"{server.url}/v2/models/a%20b"
    images = {"name": "image", "datatype": "FP32", "shape": [2, 1, 1, 3], "data": [0, 1, 2, 3, 4, 5]}
    status, told = asked(f"{model}/infer", json.dumps({"inputs": [images]}))
    assert (status, told["outputs"][0]["shape"], told["outputs"][0]["data"]) == (200, [2, 3], [0, 1, 2, 3, 4, 5])
    assert asked(model)[1]["inputs"][0]["shape"] == [-1, -1, -1, -1]
    for path in ("b", "a%20b/infer", "", "a%20b/"):
        assert asked(f"{server.url}/v2/models/{path}")[0] == 404
    for content in ("{", "{}", '{"inputs": []}', json.dumps({"inputs": [images | {"shape": [7]}]}), "[]"):
        status, told = asked(f"{model}/infer", content)
        assert status == 400
        assert told["error"]
    assert asked(f"{server.url}/v2/models/other/infer", "{}")[0] == 404
    server.close()
    with pytest.raises(OSError, match="refused"):
        asked(model)
