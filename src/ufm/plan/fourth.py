"""The fourth plan: the paper's neighbours, on the second plan's seeds and hosts (book/fourth-plan.md)."""

from collections.abc import Mapping
from dataclasses import replace

from ufm.networks import NeuraCrypt
from ufm.plan import second, third
from ufm.plan.second import Row
from ufm.plan.sweep import Sweep, sweep_name
from ufm.protocol import AdvBN, Falco, Forgetting, Protocol, Recall, Tasks, Training, VisualMixer

PLACE = {"embedded": 15, "paper": 15}
TITLE = "fourth plan"
SEEDS = third.SEEDS
DATASETS = {"embedded": ("digits",), "paper": ("mnist",)}
ASCENT, KEPT, L2UL = "ascent alone", "ascent, adversarial images kept", "L2UL"
# Boxes of 4 with the released code's sizes of pieces, boxes of 7 in single pixels; a placebo that lies in other boxes.
MIXED = {
    "VisualMixer, boxes of 4": VisualMixer(4, ((1, 2, 4, 4), (2, 4, 4, 4), (4, 4, 4, 4))),
    "VisualMixer, boxes of 7": VisualMixer(7, ((7, 7, 7, 7),) * 3),
}
ANONYMISED = {
    "FALCO, margin 0.9": Falco(0.9),
    "FALCO, margin 0": Falco(0.0),
    "FALCO, margin 0, looser": Falco(0.0, attributes=0.03),
}
ASIDE, COLUMNS = "placebo aside", 8  # plain training with which these are compared
TUNED, ADV_BN, FROM_SCRATCH = "fine-tuned alone", "AdvBN, fine-tuned", "AdvBN from scratch"
# Networks that read patches: as they are, with which the other is compared, and encoded by a random network.
PATCHES, ENCODED = "patches as they are", "NeuraCrypt"
READERS = {PATCHES: NeuraCrypt(encoded=False), ENCODED: NeuraCrypt()}
RATES = {PATCHES: 0.01, ENCODED: 0.003}  # of Adam, each the best of four (book/benchmarks/neuracrypt.md)
READ = 12  # seeds of these: of fewer no share found at five false alarms in a hundred can be said
AT_ONCE, IN_TURN, RECALL = "all classes at once", "task after task", "automatic recall"
IN_TASKS = {  # by the released code's settings, but for the stride (book/benchmarks/recall.md)
    AT_ONCE: Tasks(n=1),
    IN_TURN: Tasks(),
    RECALL: Tasks(recall=Recall(stride=1.0)),
}
WITHOUT = "trained without hosts"  # what forgetting is compared with; no word is said of it
# The systems, each with the ways of training that it has here.
SYSTEMS: dict[str, tuple[str, ...]] = {
    "L2UL": (ASCENT, KEPT, L2UL),
    "VisualMixer": tuple(MIXED),
    "Syfer": (ENCODED,),
    "AdvBN": (TUNED, ADV_BN, FROM_SCRATCH),
    "Automatic Recall Machines": (IN_TURN, RECALL),
    "Reconstruction from a gradient": (),
    "FALCO": tuple(ANONYMISED),
    "Robustness of private models": (),
}
BASES = {
    "VisualMixer": ASIDE,
    "Syfer": PATCHES,
    "Automatic Recall Machines": AT_ONCE,
}  # what a system is compared with, where it is not plain models
# Systems that have a table of their own: one trains no model (`ufm.plan.gradients`), the other is about models of the
# third plan (`ufm.plan.attacked`).
GRADIENT, ROBUSTNESS = "Reconstruction from a gradient", "Robustness of private models"
REHEARSED = (L2UL, WITHOUT)  # what the embedded profile has of it


def sweeps(profile: str) -> dict[str, Sweep]:
    """All of them, by the name of their folder of records."""
    names = ways() if profile == "paper" else REHEARSED
    return {
        sweep_name(f"{dataset}-small", f"{TITLE}, {way}"): Sweep(
            protocol(profile, dataset, way), seeds(profile, way), len(seeds(profile, way)), 28, f"{TITLE}, {way}"
        )
        for dataset in DATASETS[profile]
        for way in names
    }


def seeds(profile: str, way: str) -> range:
    """The seeds of a way, the first of plain models'."""
    return SEEDS[profile][:READ] if way in READERS else SEEDS[profile]


def protocol(profile: str, dataset: str, way: str) -> Protocol:
    """The protocol of plain models with what a way changes.

    Without their hosts canary and placebo model are one and the same, of which one is trained.
    """
    of_forgetting = way == WITHOUT or way in SYSTEMS["L2UL"]  # whose cards are longer, the first that were kept
    plain = (second.small_population if of_forgetting else second.compact_population)(profile, dataset)
    changed = third.trained_by(ways()[way], plain)
    if way in READERS:
        changed = replace(changed, model=READERS[way], found_at=plain.training.learning_rate)
    if way == ENCODED:
        changed = replace(changed, measure="keyless card")
    if way == ASIDE or way in MIXED:
        changed = replace(changed, aside=COLUMNS)
    if way in IN_TASKS:
        changed = replace(changed, measure="task card")
    return replace(changed, roles=("canary",)) if way == WITHOUT else changed


def ways() -> dict[str, Training]:
    """How models are trained, by what it is called."""
    return {
        ASCENT: Training(forgetting=Forgetting(adversarial=0, importance=0.0)),
        KEPT: Training(forgetting=Forgetting(importance=0.0)),
        L2UL: Training(forgetting=Forgetting()),
        WITHOUT: Training(without_hosts=True),
        ASIDE: Training(),
        **{way: Training(visual_mixer=mixer) for way, mixer in MIXED.items()},
        TUNED: Training(adv_bn=AdvBN(steps=0)),
        ADV_BN: Training(adv_bn=AdvBN()),
        FROM_SCRATCH: Training(adv_bn=AdvBN(epochs=0)),
        **{way: Training(learning_rate=rate) for way, rate in RATES.items()},
        **{way: Training(tasks=tasks) for way, tasks in IN_TASKS.items()},
        **{way: Training(falco=settings) for way, settings in ANONYMISED.items()},
    }


def side_by_side(planned: Mapping[str, Sweep]) -> dict[str, Sweep]:
    """The sweeps of the ways, and of plain models the seeds that the ways have."""
    return second.beside_plain(planned, TITLE, ways())


def compared(system: str) -> dict[str, tuple[str, str]]:
    """The regimes with and without each way of a system, as `ufm.evidence.ways` compares them."""
    return {way: (way, BASES.get(system, second.PLAIN)) for way in SYSTEMS[system]}


def rows(planned: Mapping[str, Sweep], system: str) -> list[Row]:
    """The rows of a system, which are corrected together: what it is compared with, then each of its ways.

    None where none of its ways is planned.
    """
    settings = BASES.get(system, second.PLAIN), *SYSTEMS[system]
    found = second.rows(planned, TITLE, {one: one for one in settings}, "random", "hard")
    return found if any(row.setting in SYSTEMS[system] for row in found) else []
