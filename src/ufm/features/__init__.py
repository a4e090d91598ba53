"""What is stamped: a file a kind."""

from ufm.discovery import discover
from ufm.features.draws import FIXED, arrangements, permutations, placebo, random_features
from ufm.features.letters import LETTERS, letter
from ufm.features.named import KINDS, Kind, check_scale, feature, named, require_placebo
from ufm.features.pictures import picture
from ufm.features.stamping import insert
from ufm.features.texts import TEXT_SIZE, written

discover(__name__)

__all__ = [
    "FIXED",
    "KINDS",
    "LETTERS",
    "TEXT_SIZE",
    "Kind",
    "arrangements",
    "check_scale",
    "feature",
    "insert",
    "letter",
    "named",
    "permutations",
    "picture",
    "placebo",
    "random_features",
    "require_placebo",
    "written",
]
