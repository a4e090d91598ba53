"""The code that pages show runs, and does what the page says."""

import re

import pytest

from ufm import paths
from ufm.scores import contrast


def blocks(page: str) -> list[str]:
    """The Python code of a page."""
    return re.findall(r"```python\n(.*?)```", (paths.BOOK / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_slurm_cluster_asks_for_one_gpu_a_worker():
    [code] = blocks("cluster.md")
    made = {}
    exec(code.partition("cluster.scale")[0], made)  # without SLURM nothing can be submitted
    with made["cluster"] as cluster:
        script = cluster.job_script()
        assert cluster.scheduler_address.startswith("tcp://")
    for line in ("#SBATCH -p gpu", "#SBATCH --gres=gpu:1", "#SBATCH -t 02:00:00", "export UFM_DATA=/path/to/data"):
        assert line in script
    assert "--nthreads 1" in script
    assert "--nworkers" not in script


def test_numpy_alone_reads_a_card_and_finds_the_contrast(monkeypatch):
    code = blocks("data-dictionary.md")[1]
    assert "ufm" not in code
    monkeypatch.chdir(paths.ROOT)
    found = {}
    exec(code, found)
    card, label = found["card"], found["label"]
    shift = card["ood_shift"].astype(float)[:, :, label]
    of = {
        (model, feature): shift[model, feature] - shift[model, 3:103].mean() for model in (3, 4) for feature in (0, 2)
    }
    D = contrast(
        letter_on_canary=of[3, 0], letter_on_placebo=of[4, 0], placebo_on_placebo=of[4, 2], placebo_on_canary=of[3, 2]
    )
    assert found["D"] == pytest.approx(D, abs=1e-12)
    assert found["five"]["role"].tolist() == ["control", "canary", "placebo", "canary", "placebo"]
    assert found["five"]["host"].fillna("").tolist() == ["", "random", "random", "hard", "hard"]
