"""What the book's populations score by the detectors of an audit, from the records, for reports of given marks.

.venv/bin/python benchmarks/audited.py > src/ufm/auditing/populations.json
"""

from ufm import evidence
from ufm.auditing import populations
from ufm.study.runs import Run

if __name__ == "__main__":
    cards = evidence.of(Run("detection", {"profile": "paper", "train": False}).recorded())
    print(populations.written(populations.computed(cards)), end="")
