import os
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # for `import common`
torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Checks of scikit-learn that repeat another one, on mapped arrays or the other kind of sparse rows, are slow tests."""
    for item in items:
        if "check_classifiers_train(readonly_memmap" in item.name or "check_estimator_sparse_matrix" in item.name:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def routing():
    """scikit-learn's metadata routing, switched on for the length of a test."""
    from sklearn import config_context

    with config_context(enable_metadata_routing=True):
        yield


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data; a test that needs it is skipped without it."""
    folder = os.environ.get("SKFAIR_DATA")
    if not folder:
        pytest.skip("needs real data: set SKFAIR_DATA to a folder that holds it (see docs/datasets.md)")
    return Path(folder)
