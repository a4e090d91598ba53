"""What a continuous-integration machine runs, with or without a browser."""

import shutil
import subprocess

import pytest

from ufm import paths

STEPS = ["test", "book PROFILE=paper", "browser"]


@pytest.fixture
def machine(tmp_path):
    """A function that runs .ci/run on a machine with some programs, each a script; what it ran and what it said."""

    def run(**programs):
        folder = tmp_path / "clone"
        (folder / ".ci").mkdir(parents=True)
        shutil.copy(paths.ROOT / ".ci" / "run", folder / ".ci" / "run")
        bin = tmp_path / "bin"
        bin.mkdir()
        for tool in ("dirname", "env", "bash"):
            (bin / tool).symlink_to(shutil.which(tool))
        for name, script in {"make": f'echo "$*" >> {tmp_path}/made'}.items() | programs.items():
            (bin / name).write_text(f"#!{shutil.which('bash')}\n{script}\n", encoding="utf-8")
            (bin / name).chmod(0o755)
        done = subprocess.run(
            [shutil.which("bash"), str(folder / ".ci" / "run")],
            env={"PATH": str(bin), "ROOT": str(tmp_path)},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        made = (tmp_path / "made").read_text(encoding="utf-8").splitlines()
        return done.returncode, made, done.stderr.splitlines()

    return run


def test_a_browser_that_is_there_is_not_installed(machine):
    assert machine(chromium="", **{"apt-get": 'echo "$*" >&2; exit 1'}) == (0, STEPS, [])


def test_a_missing_browser_is_installed_by_root(machine, tmp_path):
    install = 'echo "$*" >> $ROOT/asked; [ "$*" = "update -qq" ] && : > $ROOT/lists; [ -e $ROOT/lists ]'
    assert machine(id="echo 0", **{"apt-get": install}) == (0, STEPS, [])
    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    wanted = "install -qq -y --no-install-recommends chromium"
    assert asked == [wanted, "update -qq", wanted]


@pytest.mark.parametrize(
    "programs",
    [{"id": "echo 1000"}, {"id": "echo 0"}, {"id": "echo 0", "apt-get": "echo no network >&2; exit 100"}],
    ids=["not root", "no apt-get", "no network"],
)
def test_where_it_cannot_be_installed_one_line_says_so(machine, programs):
    code, made, said = machine(**programs)
    assert (code, made) == (0, STEPS)
    assert len(said) == 1
    assert "Chromium" in said[0]
