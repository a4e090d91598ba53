"""Our Adam against torch's class."""

import pytest
import torch

from ufm.optimiser import Adam


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_torchs_class_step_for_step(dtype):
    shapes = [(7, 5), (7,), (3, 7)]
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    ours, theirs = ([torch.nn.Parameter(one.clone()) for one in start] for _ in range(2))
    mine = Adam(ours, learning_rate=3e-3, epsilon=1e-7)
    reference = torch.optim.Adam(theirs, lr=3e-3, eps=1e-7, fused=True)
    for _ in range(20):
        for own, other in zip(ours, theirs, strict=True):
            own.grad = torch.randn(own.shape, generator=generator, dtype=dtype)
            other.grad = own.grad.clone()
        mine.step()
        reference.step()
    assert all(torch.equal(own, other) for own, other in zip(ours, theirs, strict=True))
    assert all(own.grad is None for own in ours)


def test_importing_the_training_code_does_not_import_torchs_compiler():
    import subprocess
    import sys

    code = (
        "import sys; from ufm import profiles, seeds; seeds.finish(profiles.protocol('mlp', 'embedded'), 0); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
