"""What the benchmarks share: where a table is written, on what machine, and interleaved rounds."""

import importlib.metadata
import platform
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "skorch", "scikit-learn", "fairlearn", "numpy")


def machine():
    """One line: processor, Python and the versions that matter."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return f"{_processor()}, Python {platform.python_version()}, {versions}."


def _processor():
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def write(name, text):
    """Print a page of markdown and write it to ``benchmarks/results/<name>.md``."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text.rstrip() + "\n")
    print(text)


def interleave(measures, rounds):
    """Call each measure once per round, in turn; return the lists of what they returned, by name."""
    found = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return found
