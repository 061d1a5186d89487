"""import.time: what importing the package and printing the help cost over a bare Python."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from osirix_agent.figures import Figure

RUNS = 7
REACH = "under 0.5 s over bare Python"
COMMANDS = {
    "import.time": ["-c", "import osirix_agent"],
    "import.time.help": ["-m", "osirix_agent.cli", "--help"],
}


def measure(folder: Path, seed: int) -> list[Figure]:
    del folder, seed
    bare: list[float] = []
    times: dict[str, list[float]] = {id_: [] for id_ in COMMANDS}
    for _ in range(RUNS):
        bare.append(_run(["-c", "pass"]))
        for id_, command in COMMANDS.items():
            times[id_].append(_run(command))
    base = float(np.median(bare))
    return [
        Figure(
            id=id_, value=float(np.median(found)) - base, unit="s", n=RUNS, peer="bare Python",
            ratio=float(np.median(found)) / base, reach=REACH, holds=float(np.median(found)) - base < 0.5,
        )
        for id_, found in times.items()
    ]  # fmt: skip


def _run(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - began
