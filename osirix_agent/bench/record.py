"""log.crash, log.cost and log.private: what a log loses, costs and gives away."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from osirix_agent.bench import private
from osirix_agent.bench.recording import BIG, KEY, ball, image, open_log, prompt, work
from osirix_agent.errors import OsirixAgentError
from osirix_agent.figures import Figure, failed
from osirix_agent.prompting.prompt import Prompt
from osirix_agent.record.chain import FIRST, link_after, linked, parted
from osirix_agent.record.keeping import Keeper
from osirix_agent.record.parquet import export
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.record.store import Store
from osirix_agent.record.verify import verify

ALTERATIONS = 10  # a session
COST_PROMPTS, CROP = 100, (40, 128, 128)
LONGEST_S = 600.0  # a session may take, on a busy machine
Advance = Callable[[int], object]


def measure(folder: Path, seed: int, sessions: int, prompts: int, advance: Advance) -> list[Figure]:
    """All rows of the log."""
    log = folder / "journal"
    log.mkdir()
    return [
        *_crash(log, seed, sessions, prompts // sessions, advance), _cost(folder / "cost", seed),
        _export(log, folder / "export"), private.measure(folder / "private", seed),
    ]  # fmt: skip


@dataclass
class Toll:
    """What a run of kills came to."""

    events: int = 0
    kills: int = 0
    lost: int = 0
    torn: int = 0
    wrong: list[str] = field(default_factory=list)
    altered: int = 0
    missed: list[str] = field(default_factory=list)


def _crash(log: Path, seed: int, sessions: int, prompts: int, advance: Advance) -> list[Figure]:
    toll, rng = Toll(), np.random.default_rng(seed)
    for n in range(sessions):
        path = log / f"{n:04d}.jsonl"
        taken = _run(path, n, prompts, seed, kill_after=int(rng.integers(1, 4 * prompts)), late_s=rng.uniform(0, 0.003))
        toll.kills += 1
        taken += _run(path, n, prompts, seed)
        _examine(path, taken, toll)
        _alter(path, rng, toll)
        advance(1)
    found = toll.altered - len(toll.missed)
    what = f"{sessions} sessions, {sessions * prompts} prompts, {toll.events} events, {toll.kills} kills -9"
    return [
        Figure(
            id="log.crash", value=float(toll.lost), unit="acknowledged events lost", n=toll.kills, reach="0",
            holds=toll.lost == 0 and not toll.wrong, note="; ".join([what, *toll.wrong[:5]]),
        ),
        Figure(id="log.crash.torn", value=float(toll.torn), unit="torn files", n=toll.kills, reach="0",
               holds=toll.torn == 0),
        Figure(
            id="log.crash.altered", value=100.0 * found / max(1, toll.altered), unit="%", n=toll.altered,
            reach="100 %", holds=not toll.missed,
            note="; ".join(["alterations of one event found by 'log verify'", *toll.missed[:5]]),
        ),
    ]  # fmt: skip


def _run(path: Path, n: int, prompts: int, seed: int, kill_after: int | None = None, late_s: float = 0.0) -> list[str]:
    """A session in a process of its own, killed a moment after so many events; returns the links it acknowledged."""
    context = multiprocessing.get_context("forkserver")  # has everything loaded, and no thread
    context.set_forkserver_preload([__name__])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(path, n, prompts, seed, theirs))
    process.start()
    theirs.close()
    taken: list[str] = []
    until = time.monotonic() + LONGEST_S
    try:
        while time.monotonic() < until:
            if ours.poll(0.5):
                taken.append(ours.recv_bytes().decode())
            if len(taken) == kill_after:
                time.sleep(late_s)
                process.kill()
                kill_after = None
    except EOFError:  # it has ended, whichever way
        pass
    process.kill()
    process.join()
    ours.close()
    return taken


def _examine(path: Path, taken: list[str], toll: Toll) -> None:
    verdict = verify(path, Pseudonyms(KEY).seal)
    kept = set(verdict.links)
    toll.events += verdict.events
    toll.lost += sum(link not in kept for link in taken)
    toll.wrong += [f"{path.name}: {text}" for text in verdict.faults]
    toll.wrong += [] if verdict.finished else [f"{path.name} did not finish"]
    store = Store.beside(path)
    toll.torn += sum(one.name.startswith(".") for one in store.folder.glob("??/.*"))


def _alter(path: Path, rng: np.random.Generator, toll: Toll) -> None:
    """Alter one event at a time, in each of the ways, and look whether it is found; all is put back."""
    whole, seal = path.read_bytes(), Pseudonyms(KEY).seal
    lines = whole.splitlines(keepends=True)
    for n in range(ALTERATIONS):
        kind = list(WAYS)[n % len(WAYS)]
        at = int(rng.integers(len(lines)))
        changed = WAYS[kind](list(lines), at, rng)
        if changed == lines:
            continue
        toll.altered += 1
        path.write_bytes(b"".join(changed))
        if not verify(path, seal, stored=False).faults:
            toll.missed.append(f"{path.name} line {at + 1} {kind}")
    path.write_bytes(whole)


def _flipped(lines: list[bytes], at: int, rng: np.random.Generator) -> list[bytes]:
    line, byte = bytearray(lines[at]), int(rng.integers(len(lines[at])))
    line[byte] ^= 1 << int(rng.integers(7))
    return [*lines[:at], bytes(line), *lines[at + 1 :]]


def _forged(lines: list[bytes], at: int, rng: np.random.Generator) -> list[bytes]:
    """Changed, with a link that fits."""
    del rng
    body = parted(lines[at].rstrip(b"\n"))[0].replace(b'"elapsed_s":', b'"elapsed_s":1')
    before = parted(lines[at - 1].rstrip(b"\n"))[1] if at else FIRST
    return [*lines[:at], linked(body, link_after(str(before), body)), *lines[at + 1 :]]


def _moved(lines: list[bytes], at: int, rng: np.random.Generator) -> list[bytes]:
    line = lines.pop(at)
    lines.insert(int(rng.integers(len(lines) + 1)), line)
    return lines


WAYS: dict[str, Callable[[list[bytes], int, np.random.Generator], list[bytes]]] = {
    "flipped": _flipped,
    "forged": _forged,
    "missing": lambda lines, at, _: [*lines[:at], *lines[at + 1 :]],
    "twice": lambda lines, at, _: [*lines[: at + 1], *lines[at:]],
    "moved": _moved,
}


def _cost(folder: Path, seed: int) -> Figure:
    """Time that the session's own thread spends on a prompt's events, and, beside it, on a bare append with fsync."""
    rng, volume = np.random.default_rng(seed), image(BIG)
    times, bare, computed = [], [], []
    with ThreadPoolExecutor(1) as executor:
        log = open_log(folder / "cost.jsonl", volume, Keeper(Store(folder / "store"), executor), len)
        said: list[Prompt] = []
        for number in range(COST_PROMPTS):
            belief = ball(rng, volume, CROP)
            steps = prompt(log, rng, volume, said, number, belief)
            next(steps)
            began, running = time.perf_counter(), time.thread_time()
            next(steps)
            times.append((time.perf_counter() - began) * 1e3)
            computed.append((time.thread_time() - running) * 1e3)
            list(steps)
            log.settle()
            bare.append(_bare_append(folder / "bare"))
        log.close()
    p95, peer = float(np.percentile(times, 95)), float(np.percentile(bare, 95))
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    return Figure(
        id="log.cost", value=p95, unit="ms", interval=(float(np.percentile(times, 5)), p95), n=len(times),
        peer="a bare append with fsync", ratio=p95 / peer, reach="p95 5 ms", holds=p95 <= 5,
        note=f"p50 {np.median(times):.2f} ms, of processor time p95 {np.percentile(computed, 95):.2f} ms; beliefs of "
        f"{CROP} voxels are packed and stored by another thread, which waits until the contours would be painted; "
        f"the machine's load was {busy:.1f} a core",
    )  # fmt: skip


def _bare_append(path: Path) -> float:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    began = time.perf_counter()
    os.write(handle, b"x" * 1000)
    os.fsync(handle)
    took = (time.perf_counter() - began) * 1e3
    os.close(handle)
    return took


def _export(log: Path, out: Path) -> Figure:
    reach = "10 s"
    began, running = time.perf_counter(), time.process_time()
    try:
        rows = export(log, out)
    except OsirixAgentError as error:
        return failed("log.cost.export", "s", reach, str(error))
    took, computed = time.perf_counter() - began, time.process_time() - running
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    counts = ", ".join(f"{count} {name}" for name, count in rows.items())
    note = f"{counts}; {computed:.1f} s of processor time; the machine's load was {busy:.1f} a core"
    return Figure(id="log.cost.export", value=took, unit="s", n=rows["sessions"], reach=reach, holds=took <= 10,
                  note=note)  # fmt: skip
