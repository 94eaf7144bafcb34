"""What every test shares: where the data are, and a sampled run for slow machines (emulation, sanitizers).

``--sample N`` keeps one in N of the cases of each test function, evenly spread and never fewer than one, and gives
hypothesis fewer examples; ``--sample N:K`` starts at the K-th, so that several runs together cover more.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLES = 100
FEWEST_EXAMPLES = 5


def sample_of(config: pytest.Config) -> tuple[int, int]:
    """(N, K) of ``--sample``; (1, 0) where all cases run."""
    step, _, start = str(config.getoption("--sample")).partition(":")
    if not step.isdigit() or int(step) < 1 or (start and not start.isdigit()):
        raise pytest.UsageError(f"--sample: must be N or N:K with N at least 1, got {step}:{start}")
    return int(step), int(start or 0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sample", default="1", metavar="N[:K]", help="run one in N of each test's cases, from the K-th")


def pytest_configure(config: pytest.Config) -> None:
    step, _ = sample_of(config)
    # Time is never asserted, and the same examples come every time: a failure is one that anybody can repeat.
    settings.register_profile(
        "thew",
        deadline=None,
        derandomize=True,
        max_examples=max(FEWEST_EXAMPLES, EXAMPLES // step),
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("thew")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    step, start = sample_of(config)
    if step == 1:
        return
    cases: dict[tuple[Path, str], list[pytest.Item]] = defaultdict(list)
    for item in items:
        cases[item.path, getattr(item, "originalname", None) or item.name].append(item)
    kept = {id(item) for group in cases.values() for item in group[start % min(step, len(group)) :: step]}
    config.hook.pytest_deselected(items=[item for item in items if id(item) not in kept])
    items[:] = [item for item in items if id(item) in kept]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of models, images and data sets: $THEW_SHARED, else ../shared beside the repository."""
    root = Path(os.environ.get("THEW_SHARED", REPOSITORY.parent / "shared"))
    data = root / "data" if (root / "data").is_dir() else root
    if not (data / "models").is_dir():
        pytest.skip(f"no models in {data}; set THEW_SHARED to the folder that holds them")
    return data
