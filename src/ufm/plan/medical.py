"""Chapter *Medical images*: a letter or a name on X-rays."""

from dataclasses import replace

from ufm.networks import CNN1
from ufm.plan import second
from ufm.plan.populations import EVIDENCE, NAME, plain, population
from ufm.plan.sweep import Sweep

PLACE = {"embedded": 6, "paper": 6}
MEDICAL_SETTINGS = ("MLP, letter", "MLP, name", "CNN-1, letter")
# Seeds by folder of records, in the order of the settings; what has none is not trained.
SEEDS = {
    "embedded": {"digits-small-letter": range(400, 408), "digits-small-name": range(400, 408)},
    "paper": {
        "pneumoniamnist-letter": EVIDENCE[:50],
        "pneumoniamnist-name": EVIDENCE[:40],
        "pneumoniamnist-cnn1": EVIDENCE[:20],
    },
}
TURN = {"embedded": 0, "paper": 4}


def sweeps(profile: str) -> dict[str, Sweep]:
    """The letter on random and hard hosts, a name on hard hosts, and the letter with CNN-1 on hard hosts."""
    usual = plain("embedded", "digits-small") if profile == "embedded" else population("pneumoniamnist")
    short = replace(usual, measure="short card")
    hard = replace(short, hosts=("hard",))
    protocols = (short, replace(hard, feature=NAME), replace(hard, model=CNN1()))
    return {
        name: Sweep(protocol, seeds, len(seeds), TURN[profile], setting)
        for (name, seeds), protocol, setting in zip(SEEDS[profile].items(), protocols, MEDICAL_SETTINGS, strict=False)
    }


def shown(profile: str) -> tuple[str, ...]:
    """The second plan's, then all of them."""
    return (*second.medical(profile), *sweeps(profile))


PICTURED = sweeps  # images of their hosts are kept with the records
DECIDING = {"C6": sweeps}  # by claim, the sweeps on which it stands
