"""Networks of X-rays that were trained on other images before (book/scaling-plan.md, *Pretraining*)."""

from dataclasses import replace

from ufm.plan import second
from ufm.plan.sweep import Sweep, sweep_name
from ufm.protocol import Pretraining

PLACE = {"embedded": 17, "paper": 17}
TITLE = "pretrained"
SCRATCH = "from scratch"  # the second plan's, beside which they stand
SEEDS = second.MEDICAL["paper"]["MLP"][1][:20]
WAYS = {"fine-tuned whole": Pretraining(), "last layer alone": Pretraining(frozen=True)}
RATES = {"fine-tuned whole": 3e-4, "last layer alone": 3e-3}  # each the best of four (book/benchmarks/pretraining.md)
DATASET = "pneumoniamnist"


def sweeps(profile: str) -> dict[str, Sweep]:
    """By the name of their folder of records; not embedded, where no two data sets have images of one shape."""
    if profile == "embedded":
        return {}
    scratch = second.medical(profile)[names()[SCRATCH]].protocol
    found = {}
    for way, pretrained in WAYS.items():
        training = replace(scratch.training, pretrained=pretrained, learning_rate=RATES[way])
        found_at = scratch.training.learning_rate
        protocol = replace(scratch, training=training, measure="compact card", found_at=found_at)
        found[names()[way]] = Sweep(protocol, SEEDS, len(SEEDS), 27, f"{TITLE}, {way}")
    return found


def names() -> dict[str, str]:
    """Names of sweeps by what is done, from scratch first."""
    settings = {SCRATCH: f"{second.TITLE}, MLP, letter"} | {way: f"{TITLE}, {way}" for way in WAYS}
    return {way: sweep_name(DATASET, setting) for way, setting in settings.items()}


def beside(profile: str) -> tuple[str, ...]:
    """Names of all of them that a profile has, from scratch first."""
    return tuple(names().values()) if sweeps(profile) else ()
