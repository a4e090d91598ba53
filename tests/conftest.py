"""Fixtures that several test files share."""

import pytest

from ufm.data import sources


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory):
    """What torch's optimisers, which the library's are compared with, would leave in the folder of temporary files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("inductor")))
        yield


@pytest.fixture(scope="session")
def real_data():
    """A function that returns the data root if it holds a data set's files, and skips the test if it does not."""

    def root(name: str):
        folder = sources.data_root()
        # Only missing files skip: damaged ones must fail.
        if not all((folder / path).is_file() for path in sources.source(name).files):
            pytest.skip(f"no {sources.source(name).title} under {folder}: run ufm data {name}")
        return folder

    return root


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with what is audited by command: see `audited.fill`."""
    import audited

    monkeypatch.chdir(tmp_path)
    audited.fill(tmp_path)
    return tmp_path
