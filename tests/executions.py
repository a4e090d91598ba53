"""What an execution of a notebook leaves, written without executing one."""

import json

MANIFEST = {
    "notebook": "controls",
    "parameters": {"profile": "paper", "n_seeds": 20, "fresh": False, "sweeps": {"controls": {}}},
    "profile": "paper",
    "dataset": "MNIST, full size",
    "device": "A processor, 1 thread",
    "versions": [{"ufm": "0.1.0", "torch": "2.14.1"}, {"ufm": "0.1.0", "torch": "2.11.0"}],
    "recipe": 3,
    "code": "0123456789abcdef",
    "models": [f"model {number}" for number in range(10)],
    "seeds": 5,
    "planned": 20,
    "seconds": {f"record {number}": 60.0 for number in range(5)},
    "date": "2026-01-31",
    "populations": {},
}


def write_manifest(folder, **changes):
    """Write a manifest into a folder, which is made; where it lies."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "manifest.json"
    path.write_text(json.dumps(MANIFEST | changes), encoding="utf-8")
    return path
