"""osirix-agent: the command line. Each command is one call into a room.

Exit codes: 0 done; 1 a check or a measured reach failed, or an unexpected error; 2 wrong usage or setting; 3 OsiriX or
its viewer; 4 images that cannot be used; 5 a prompt that cannot be used; 6 the journal; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from osirix_agent import __version__


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 2
    from osirix_agent.errors import OsirixAgentError

    try:
        return int(arguments.act(arguments) or 0)
    except OsirixAgentError as error:
        print(f"osirix-agent: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="osirix-agent",
        description="Interactive contouring inside OsiriX. Research software, not a medical device.",
        epilog=(__doc__ or "").split("\n\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"osirix-agent {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    demo = commands.add_parser("demo", help="show the main job on a virtual OsiriX")
    demo.add_argument("--dicom", type=Path, help="a DICOM folder instead of the generated phantom")
    demo.add_argument("--out", type=Path, default=Path("osirix-agent-demo"), help="output folder (%(default)s)")
    _json(demo)
    _settings(demo, server=False)
    demo.set_defaults(act=_demo)

    run = commands.add_parser("run", help="contour with the frontmost OsiriX viewer")
    run.add_argument("--for-seconds", type=float, help="leave after this time (for scripts)")
    run.add_argument("--fresh", action="store_true",
                     help="begin anew even if a session on this series was cut short")  # fmt: skip
    run.add_argument("--wait", type=float, metavar="SECONDS",
                     help="for OsiriX and a viewer (default: until there is one; 0 refuses at once)")  # fmt: skip
    _settings(run)
    run.set_defaults(act=_run)

    virtual = commands.add_parser("virtual-osirix", help="an OsiriX for people without one")
    virtual.add_argument("--dicom", type=Path, required=True, help="folder to open, one viewer a series")
    virtual.add_argument("--port", type=int, default=50051, help="0 takes a free one (%(default)s)")
    virtual.add_argument("--click", metavar="K,ROW,COLUMN[,NAME]", action="append", default=[],
                         help="play the clinician: a point every two seconds")  # fmt: skip
    virtual.add_argument("--pictures", type=Path, help="write what the clinician sees into this folder, every second")
    virtual.add_argument("--fault", metavar="KIND[:CALL][@NTH][=SECONDS]", action="append", default=[],
                         help="latency, late, dialog, unavailable, lost-answer, closed, quit or crash")  # fmt: skip
    virtual.set_defaults(act=_virtual)

    doctor = commands.add_parser("doctor", help="check the set-up and say what to do")
    _json(doctor)
    _settings(doctor)
    doctor.set_defaults(act=_doctor)

    bench = commands.add_parser("bench", help="measure: every row of the reach table, side by side")
    bench.add_argument("what", nargs="?", choices=["all", "soak", "faults"], default="all")
    bench.add_argument("--seed", type=int, default=1)
    bench.add_argument("--sequences", type=int, default=10_000, help="of the soak (%(default)s)")
    bench.add_argument("--runs", type=int, default=1000, help="of the faults (%(default)s)")
    bench.add_argument("--kills", type=int, default=50, help="of processes, among the faults (%(default)s)")
    bench.add_argument("--only", action="append", metavar="ID", help="only these rows")
    _json(bench)
    bench.set_defaults(act=_bench)

    replay = commands.add_parser("replay", help="reproduce every mask of a journal")
    replay.add_argument("journal", type=Path)
    replay.add_argument(
        "--dicom", type=Path, help="the image (default: 'study' beside the journal, else OsiriX's viewer)"
    )
    _json(replay)
    _settings(replay)
    replay.set_defaults(act=_replay)
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def _settings(parser: argparse.ArgumentParser, *, server: bool = True) -> None:
    if server:
        parser.add_argument("--server", metavar="HOST:PORT", help="osirixgrpc server (else the plugin's, else 50051)")
        parser.add_argument("--state-dir", type=Path, help="folder for journal, ledger and site key")
    parser.add_argument("--structure", help="structure addressed when an ROI names none")
    parser.add_argument("--segmenter", help="classical")
    parser.add_argument("--levels", dest="isoline_levels", metavar="5,50,95", help="isolines, from 5,25,50,75,95")


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("server", "state_dir", "structure", "segmenter", "isoline_levels")
    return {name: getattr(arguments, name, None) for name in names}


@contextmanager
def _busy(text: str) -> Iterator[Callable[[str], object]]:
    """A moving sign on the error stream while something takes its time; gives a function that changes its text."""
    from rich.console import Console

    with Console(stderr=True).status(text) as status:
        yield status.update


def _demo(arguments: argparse.Namespace) -> None:
    from osirix_agent.demo.run import print_results, run_demo

    with _busy("opening the study") as tell:
        results = run_demo(arguments.out, arguments.dicom, _overrides(arguments), tell)
    if arguments.json:
        print(json.dumps({"results": [result.as_json() for result in results]}))
    else:
        print_results(results)


def _run(arguments: argparse.Namespace) -> None:
    from osirix_agent.agent.live import run_live
    from osirix_agent.settings import load_settings

    run_live(
        load_settings(**_overrides(arguments)),
        for_seconds=arguments.for_seconds,
        wait_s=arguments.wait,
        fresh=arguments.fresh,
    )


def _virtual(arguments: argparse.Namespace) -> None:
    from osirix_agent.demo.alone import run_virtual_osirix

    run_virtual_osirix(arguments.dicom, arguments.port, arguments.click, arguments.pictures, arguments.fault)


def _doctor(arguments: argparse.Namespace) -> int:
    from osirix_agent.doctor import examine, print_findings
    from osirix_agent.settings import load_settings

    findings = examine(load_settings(**_overrides(arguments)))
    if arguments.json:
        print(json.dumps({"findings": [finding.as_json() for finding in findings]}))
    else:
        print_findings(findings)
    return 0 if all(finding.good for finding in findings) else 1


def _bench(arguments: argparse.Namespace) -> int:
    from osirix_agent.agent.log import versions
    from osirix_agent.bench.run import measure
    from osirix_agent.figures import report

    figures = measure(
        arguments.what, arguments.seed, arguments.sequences, arguments.only,
        quiet=arguments.json, runs=arguments.runs, kills=arguments.kills,
    )  # fmt: skip
    report(figures, seed=arguments.seed, versions=versions(), as_json=arguments.json, title="osirix-agent bench")
    return 0 if all(figure.holds is not False for figure in figures) else 1


def _replay(arguments: argparse.Namespace) -> int:
    from osirix_agent.demo.replaying import replay_journal
    from osirix_agent.settings import load_settings

    with _busy("asking for every mask again"):
        outcome = replay_journal(arguments.journal, arguments.dicom, load_settings(**_overrides(arguments)))
    if arguments.json:
        print(json.dumps(outcome.as_json()))
    else:
        outcome.print()
    return 0 if outcome.same else 1


if __name__ == "__main__":
    sys.exit(main())
