"""osirix-agent: the command line. Each command is one call into a room.

Exit codes: 0 done; 1 a check or a measured reach failed, or an unexpected error; 2 wrong usage or setting; 3 OsiriX or
its viewer; 4 images that cannot be used; 5 a prompt that cannot be used; 6 the journal; 7 the buttons in OsiriX; 8 a
model; 9 a segmenter on another machine; 10 an export that could not be made or handed on; 11 sound or what hears it;
12 a log that nothing can be learnt from; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osirix_agent import __version__

if TYPE_CHECKING:
    from osirix_agent.settings import Settings


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
    demo.add_argument("--voice", action="store_true", help="the clinician speaks (extra 'voice', and a synthesiser)")
    demo.add_argument("--out", type=Path, default=Path("osirix-agent-demo"), help="output folder (%(default)s)")
    demo.add_argument("--panel", action="store_true", help="then go on with the study in the companion page")
    demo.add_argument("--gaze", dest="pointer", action="store_true", help="the pointer stands for the eyes there")
    _json(demo)
    _settings(demo, server=False)
    demo.set_defaults(act=_demo)

    run = commands.add_parser("run", help="contour with the frontmost OsiriX viewer")
    run.add_argument("--panel", action="store_true", help="with the companion page in the browser")
    run.add_argument("--gaze", action="store_true", default=None, help="watch an eye tracker (extra 'gaze')")
    run.add_argument("--for-seconds", type=float, help="leave after this time (for scripts)")
    run.add_argument("--fresh", action="store_true",
                     help="begin anew even if a session on this series was cut short")  # fmt: skip
    run.add_argument("--wait", type=float, metavar="SECONDS",
                     help="for OsiriX and a viewer (default: until there is one; 0 refuses at once)")  # fmt: skip
    run.add_argument("--start", type=Path, metavar="FILE", help="begin with the contours of an RTSTRUCT or SEG")
    run.add_argument("--start-only", action="append", metavar="NAME", default=[],
                     help="of these contours, this structure; may be given again (default: all)")  # fmt: skip
    _settings(run)
    run.set_defaults(act=_run)

    say = commands.add_parser(
        "say", help="tell the running agent a sentence: 'two millimetres superiorly, undo, accept'"
    )
    say.add_argument("sentence", nargs="*", help="what could be dictated")
    say.add_argument("--wav", type=Path, metavar="FILE", help="speech in a WAV file instead (extra 'voice')")
    say.add_argument("--microphone", action="store_true", help="speech instead: Enter begins, Enter ends a sentence")
    say.add_argument("--speech-model-dir", type=Path, help="Whisper's folder, which hears more than commands")
    say.add_argument(
        "--heard", type=float, default=1.0, help="confidence of the speech recogniser, 0 to 1 (%(default)s)"
    )
    _json(say)
    say.set_defaults(act=_say)

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
    doctor.add_argument("--live", action="store_true",
                        help="also draw on the study in front, read it back and delete it")  # fmt: skip
    doctor.add_argument("--yes-throw-away", action="store_true", help="with --live: the study in front does not matter")
    _json(doctor)
    _settings(doctor)
    doctor.set_defaults(act=_doctor)

    plugin = commands.add_parser("plugin", help="the buttons in OsiriX: install, remove, status")
    plugin.add_argument("what", choices=["install", "remove", "status"])
    plugin.add_argument("--launch-agent", action="store_true", help="install: keep an agent ready from login on")
    plugin.add_argument("--dry-run", action="store_true", help="only say what would be done")
    plugin.add_argument("--root", type=Path, default=None, help="treat this folder as / (for packagers and tests)")
    plugin.add_argument("--home", type=Path, default=None, help="home folder inside it")
    plugin.set_defaults(act=_plugin)

    bench = commands.add_parser("bench", help="measure: every row of the reach table, side by side")
    measured = [
        "all", "belief", "capacity", "click", "export", "faults", "fuzz", "panel", "ray", "record", "serve",
        "serve-faults", "soak", "voice",
    ]  # fmt: skip
    bench.add_argument("what", nargs="?", choices=measured, default="all",
                       help="click: answers of the shipped model, and of a peer (extra 'train')")  # fmt: skip
    bench.add_argument("--seed", type=int, default=1)
    bench.add_argument("--sequences", type=int, default=10_000, help="of the soak (%(default)s)")
    bench.add_argument("--runs", type=int, default=1000, help="of the faults (%(default)s)")
    bench.add_argument("--kills", type=int, default=50, help="of processes, among the faults (%(default)s)")
    bench.add_argument("--prompts", type=int, default=20_000, help="of the log, in all sessions (%(default)s)")
    bench.add_argument("--serve", action="store_true", help="of soak: sessions on one server instead")
    bench.add_argument("--sessions", type=int, help="of the log (200); of the soak of a server (16)")
    bench.add_argument(
        "--minutes", type=float, help="of that soak (15); of kills on Ray (3); of the fuzzer's processor (10)"
    )
    bench.add_argument("--text-only", action="store_true", help="of voice: only typed sentences, none spoken")
    bench.add_argument(
        "--sample", type=int, metavar="N", help="of voice: only so many spoken sentences, in one voice each"
    )
    bench.add_argument("--speech-model-dir", type=Path, help="of voice: Whisper's folder")
    bench.add_argument("--corpus", type=Path, help="of voice: JSON lines of sentences with their expected intents")
    bench.add_argument("--dicom", type=Path, help="of export: write on the series of this folder, too")
    bench.add_argument("--only", action="append", metavar="ID", help="only these rows")
    _json(bench)
    bench.set_defaults(act=_bench)

    serve = commands.add_parser("serve", help="let agents elsewhere use this machine's segmenter")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen at; beyond this machine only with --tls")
    serve.add_argument("--port", type=int, default=50061, help="0 takes a free one (%(default)s)")
    serve.add_argument("--tls", type=Path, metavar="FOLDER", help="serve with the certificates of this folder")
    serve.add_argument("--init-tls", type=Path, metavar="FOLDER",
                       help="make certificates and the first pairing, or renew the server's, and leave")  # fmt: skip
    serve.add_argument("--pair", metavar="NAME", help="with --tls: a pairing for one more agent, and leave")
    serve.add_argument("--unit", choices=["systemd", "launchd"],
                       help="print what keeps this very command running, and leave")  # fmt: skip
    serve.add_argument("--nninteractive", type=int, metavar="PORT",
                       help="also answer nnInteractive's clients (1527 is theirs), on this machine only")  # fmt: skip
    serve.add_argument("--ray", nargs="?", const="local", metavar="ADDRESS",
                       help="on a Ray cluster (extra 'cluster'); without ADDRESS: on this machine")  # fmt: skip
    serve.add_argument("--replicas", metavar="N[-M]",
                       help="with --ray: so many, or as the load asks for (default: one for each GPU)")  # fmt: skip
    serve.add_argument("--metrics-port", type=int, help="Prometheus metrics, on this machine only")
    serve.add_argument("--segmenter", help="auto, model or classical")
    serve.add_argument("--model-dir", type=Path, help="folder that holds the model and its adapters")
    serve.add_argument("--device", help="where the model runs: auto, cpu, cuda or mps")
    serve.set_defaults(act=_serve)

    evaluate = commands.add_parser("evaluate", help="the interactive benchmark on real patients")
    evaluate.add_argument("data", type=Path, help="folder with splits.json, openkbp and sarcoma; or any folder of "
                                                  "DICOM series with RTSTRUCT or SEG")  # fmt: skip
    evaluate.add_argument("--segmenter", dest="segmenters", action="append", metavar="NAME",
                          help="model, classical or unet:FOLDER; may be given again to compare "
                               "(default: model and classical)")  # fmt: skip
    evaluate.add_argument("--set", dest="sets", action="append", metavar="NAME",
                          help="organs, targets, sarcoma-CT, sarcoma-MR_T1 or sarcoma-PET (default: all)")  # fmt: skip
    evaluate.add_argument("--rows", metavar="NAME,...",
                          help="clicks, both, words, jitter, side, absent (default: all but words, which are the "
                               "first score of both)")  # fmt: skip
    evaluate.add_argument("--part", default="validation", help="of the patients in splits.json (%(default)s)")
    evaluate.add_argument("--cases", type=int, metavar="N", help="only the first N patients of each set")
    evaluate.add_argument("--model-dir", type=Path, help="folder that holds the model and its adapters")
    evaluate.add_argument("--device", help="where the model runs: auto, cpu, cuda or mps")
    evaluate.add_argument("--uncertainty", action="store_true",
                          help="instead: how well the calibrated belief holds, beside baselines")  # fmt: skip
    evaluate.add_argument("--card", type=Path,
                          help="with --uncertainty: the calibration card (default: beside the model)")  # fmt: skip
    evaluate.add_argument("--members", type=Path, metavar="FOLDER",
                          help="with --uncertainty: adapters of an ensemble, a further baseline")  # fmt: skip
    evaluate.add_argument("--ray", nargs="?", const="local", metavar="ADDRESS",
                          help="spread the patients over a Ray cluster (extra 'cluster'), or this machine")  # fmt: skip
    _shared(evaluate)
    _json(evaluate)
    evaluate.set_defaults(act=_evaluate)

    calibrate = commands.add_parser("calibrate", help="fit a calibration card on calibration patients")
    calibrate.add_argument("data", type=Path, help="folder with splits.json, openkbp and sarcoma; or any folder of "
                                                   "DICOM series with RTSTRUCT or SEG")  # fmt: skip
    calibrate.add_argument("--segmenter", default="model", help="model or classical, or a public model (%(default)s)")
    calibrate.add_argument("--set", dest="sets", action="append", metavar="NAME",
                           help="organs, targets, sarcoma-CT, sarcoma-MR_T1 or sarcoma-PET (default: all)")  # fmt: skip
    calibrate.add_argument("--cases", type=int, metavar="N", help="only the first N patients of each set")
    calibrate.add_argument("--out", type=Path, help="card to write (default: calibration.json beside the model)")
    calibrate.add_argument("--model-dir", type=Path, help="folder that holds the model and its adapters")
    calibrate.add_argument("--device", help="where the model runs: auto, cpu, cuda or mps")
    _shared(calibrate)
    _json(calibrate)
    calibrate.set_defaults(act=_calibrate)

    train = commands.add_parser("train", help="make a model by its recipe; goes on where it was stopped")
    kinds = train.add_subparsers(dest="what", required=True, metavar="KIND")
    base = kinds.add_parser("base", help="the base, from a pretrained sentence encoder and random vision weights")
    begin = base.add_mutually_exclusive_group(required=True)
    begin.add_argument("--encoder", type=Path, help="folder with config.json, vocab.txt, model.safetensors")
    begin.add_argument("--further", type=Path, metavar="MODEL", help="folder of a base, to train that one further")
    adapter = kinds.add_parser("adapter", help="an adapter on a base")
    adapter.add_argument("name", choices=["target-hn", "gtv-sarcoma", "organs-member"])
    adapter.add_argument("--base", type=Path, required=True, help="model folder of the base")
    adapter.add_argument("--further", type=Path, metavar="ADAPTER",
                         help="folder of an adapter on that base, to train that one further")  # fmt: skip
    peer = kinds.add_parser("peer", help="a plain 3D U-Net without words and clicks, to evaluate beside the base")
    refiner = kinds.add_parser("refiner", help="a small network at the image's own voxels, after a base")
    refiner.add_argument("data", type=Path, help="folder with splits.json and openkbp")
    refiner.add_argument("--base", type=Path, required=True, help="model folder of the base, which takes it from there "
                         "when it lies in its folder 'refiner'")  # fmt: skip
    dictation = kinds.add_parser("dictation", help="what Whisper is to know of dictated contouring (extra 'voice')")
    dictation.add_argument("--speech-model-dir", type=Path, required=True, help="Whisper's folder")
    guesses = kinds.add_parser("guesses", help="what orders that the grammar does not understand most likely mean")
    for kind in (base, adapter, peer, refiner, dictation, guesses):
        kind.add_argument("--out", type=Path, required=True, help="model folder to write")
        kind.add_argument("--seed", type=int, help="instead of the recipe's")
    for kind in (base, adapter, peer, refiner, dictation):
        kind.add_argument("--work", type=Path, required=True, help="folder for checkpoints and TensorBoard logs")
        kind.add_argument("--steps", type=int, help="instead of the recipe's")
        kind.add_argument("--cool-down", type=int, help="last steps over which the rate falls, instead of the recipe's")
    train.set_defaults(act=_train)

    _adapt_parser(commands.add_parser("adapt", help="learn an adapter from the log; published only if it is better"))
    _log_parser(commands.add_parser("log", help="what was recorded: verify, show, count, export, merge, forget"))

    export = commands.add_parser("export", help="write accepted structures as the clinic reads them")
    export.add_argument("journal", type=Path, help="of the session")
    export.add_argument("--dicom", type=Path,
                        help="the series (default: 'study' beside the journal, else OsiriX's viewer)")  # fmt: skip
    export.add_argument("--out", type=Path, default=Path("osirix-agent-export"), help="output folder (%(default)s)")
    export.add_argument("--structure", dest="structures", action="append", metavar="NAME", default=[],
                        help="only this one; may be given again (default: all that were accepted)")  # fmt: skip
    export.add_argument("--rtstruct", action="store_true", help="RTSTRUCT; this is what is written if nothing is named")
    export.add_argument("--append", type=Path, metavar="RTSTRUCT",
                        help="write that one's whole content too, followed by the structures")  # fmt: skip
    export.add_argument("--bands", metavar="5,95", type=_numbers, default=(),
                        help="isolines (percent) as further ROIs of the RTSTRUCT")  # fmt: skip
    export.add_argument("--seg", action="store_true", help="DICOM SEG of masks (extra 'dicom')")
    export.add_argument("--nifti", action="store_true", help="one NIfTI mask a structure")
    export.add_argument("--probabilities", action="store_true", help="with --seg, --nifti: what was believed, too")
    export.add_argument("--to-osirix", action="store_true", help="hand the DICOM files to OsiriX's database")
    export.add_argument("--send", metavar="TITLE@HOST:PORT", help="send the DICOM files to a node (extra 'dicom')")
    _json(export)
    export.add_argument("--state-dir", type=Path, help="folder with the site key of the session")
    export.add_argument("--server", metavar="HOST:PORT", help="osirixgrpc server (else the plugin's, else 50051)")
    export.add_argument("--model-dir", type=Path, help="folder that holds the model and its adapters")
    export.add_argument("--device", help="where the model runs: auto, cpu, cuda or mps")
    export.set_defaults(act=_export)

    replay = commands.add_parser("replay", help="reproduce every mask of a journal, or ask another model instead")
    replay.add_argument("journal", type=Path, help="a journal; with --model also a folder of them")
    replay.add_argument("--model", metavar="OTHER",
                        help="compare with it: a segmenter, a folder of models, or an adapter's folder")  # fmt: skip
    replay.add_argument("--tolerance", type=float, default=2.0, metavar="MM",
                        help="with --model: of surfaces that agree (%(default)s)")  # fmt: skip
    replay.add_argument("--ray", nargs="?", const="local", metavar="ADDRESS",
                        help="with --model: spread the sessions over a Ray cluster (extra 'cluster')")  # fmt: skip
    replay.add_argument(
        "--dicom", type=Path, help="the image (default: 'study' beside the journal, else OsiriX's viewer)"
    )
    _json(replay)
    _settings(replay)
    replay.set_defaults(act=_replay)
    return parser


def _adapt_parser(adapt: argparse.ArgumentParser) -> None:
    adapt.add_argument("log", type=Path, nargs="?", help="a folder of journals (default: this machine's)")
    adapt.add_argument("--images", type=Path, help="folder with the DICOM series that were contoured")
    adapt.add_argument("--structure", default="GTV", help="beginning of the names it is for (%(default)s)")
    adapt.add_argument("--out", type=Path, help="the site's folder of models, where it goes")
    adapt.add_argument("--base", type=Path, help="model folder of the base (default: that in --out, else the shipped)")
    adapt.add_argument("--name", help="of the adapter (default: the structure's, and 'site' or 'clinician')")
    adapt.add_argument("--clinician", help="learn from this one's sessions alone (as in the setting 'clinician')")
    adapt.add_argument("--without", metavar="SESSION", action="append", default=[], help="leave a session out, by id")
    adapt.add_argument("--anchored-weight", type=float, default=0.5,
                       help="of contours left as they were proposed, beside drawn ones (%(default)s)")  # fmt: skip
    adapt.add_argument("--organs", type=Path, help="patients with other structures, to see that none is harmed: as "
                                                   "for 'evaluate'")  # fmt: skip
    adapt.add_argument("--organ-cases", type=int, default=8, help="so many of them (%(default)s)")
    adapt.add_argument("--steps", type=int, help="instead of the recipe's")
    adapt.add_argument("--seed", type=int, help="instead of the recipe's")
    adapt.add_argument("--work", type=Path, help="folder for checkpoints, to go on after a stop (default: in --out)")
    adapt.add_argument("--rollback", metavar="NAME", help="take an adapter of --out back; what it replaced "
                                                          "answers again")  # fmt: skip
    adapt.add_argument("--report", type=Path, metavar="DATA", nargs="?", const=Path("../shared/data"),
                       help="measure all this on public patients instead (folder with splits.json)")  # fmt: skip
    adapt.add_argument("--state-dir", type=Path, help="folder of journals and site key")
    _json(adapt)
    adapt.set_defaults(act=_adapt)


def _log_parser(log: argparse.ArgumentParser) -> None:
    acts = log.add_subparsers(dest="what", required=True, metavar="WHAT")
    verify = acts.add_parser("verify", help="find altered, missing and moved events, and what the store lacks")
    show = acts.add_parser("show", help="one line an event of a journal")
    stats = acts.add_parser("stats", help="clicks and time to accept, latency, editing effort")
    export = acts.add_parser("export", help="Parquet tables with a Croissant description (extra 'study')")
    report = acts.add_parser("report", help="one HTML page with plots")
    images = acts.add_parser("images", help="de-identified copies of the images, under the log's pseudonyms")
    merge = acts.add_parser("merge", help="bring the sessions of several logs into one folder")
    forget = acts.add_parser("forget", help="delete a patient's sessions whole; leaves a tombstone, marks adapters")
    for one in (verify, stats, export, report, images):
        one.add_argument("log", type=Path, nargs="?", help="a journal or a folder of them (default: this machine's)")
    show.add_argument("log", type=Path, metavar="JOURNAL")
    merge.add_argument("logs", type=Path, nargs="+", metavar="LOG")
    merge.add_argument("--out", type=Path, required=True, help="folder; sessions that are there stay")
    export.add_argument("--out", type=Path, required=True, help="folder")
    images.add_argument("--dicom", type=Path, required=True, help="folder with the images that were contoured")
    images.add_argument("--out", type=Path, required=True, help="folder, one in it for each series")
    report.add_argument("--out", type=Path, default=Path("osirix-agent-report.html"), help="file (%(default)s)")
    forget.add_argument("patient", help="patient ID, or its pseudonym as the journal has it; '-' reads it from the "
                                        "standard input, so that it stays out of the shell's history")  # fmt: skip
    forget.add_argument("--models", type=Path, action="append", default=[], help="folder with adapters")
    for one in (verify, stats, export, report, images, forget):
        one.add_argument("--state-dir", type=Path, help="folder of journals and site key")
    for one in (verify, stats, export, images, merge, forget):
        _json(one)
    log.set_defaults(act=_log)


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, help="folder where answers are kept, so that it goes on where it was "
                                                  "stopped (default: 'stages' in the state folder)")  # fmt: skip
    parser.add_argument("--share", metavar="N/OF", type=_fraction,
                        help="only contour this share of the patients, such as 1/2, beside a process for the rest; run "
                             "it again without when all are done")  # fmt: skip


def _fraction(text: str) -> tuple[int, int]:
    n, _, of = text.partition("/")
    if not (n.isdigit() and of.isdigit() and 1 <= int(n) <= int(of)):
        raise argparse.ArgumentTypeError(f"'{text}' is no share: give one such as 1/2")
    return int(n), int(of)


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def _settings(parser: argparse.ArgumentParser, *, server: bool = True) -> None:
    if server:
        parser.add_argument("--server", metavar="HOST:PORT", help="osirixgrpc server (else the plugin's, else 50051)")
        parser.add_argument("--state-dir", type=Path, help="folder for journal, ledger and site key")
    parser.add_argument("--structure", help="structure addressed when an ROI names none")
    parser.add_argument(
        "--segmenter", help="auto, model, classical, grpcs://host:port; nninteractive, voxtell or sam from --model-dir"
    )
    parser.add_argument("--pairing", type=Path, help="pairing file for a segmenter on another machine")
    parser.add_argument("--model-dir", type=Path, help="folder that holds the model and its adapters")
    parser.add_argument("--device", help="where the model runs: auto, cpu, cuda or mps")
    parser.add_argument("--levels", dest="isoline_levels", metavar="5,50,95", help="isolines, from 5,25,50,75,95")


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    names = (
        "server", "state_dir", "structure", "segmenter", "pairing", "model_dir", "device", "isoline_levels", "gaze",
    )  # fmt: skip
    return {name: getattr(arguments, name, None) for name in names}


@contextmanager
def _busy(text: str) -> Iterator[Callable[[str], object]]:
    """A moving sign on the error stream while something takes its time; gives a function that changes its text."""
    from rich.console import Console

    with Console(stderr=True).status(text) as status:
        yield status.update


def _demo(arguments: argparse.Namespace) -> None:
    from osirix_agent.demo.run import open_demo, print_results

    with ExitStack() as stack:
        with _busy("opening the study") as tell:
            results, settings = stack.enter_context(
                open_demo(arguments.out, arguments.dicom, _overrides(arguments), tell, by_voice=arguments.voice)
            )
        if arguments.json:
            print(json.dumps({"results": [result.as_json() for result in results]}))
        else:
            print_results(results)
        if arguments.panel:
            from osirix_agent.panel.live import run_with_panel

            run_with_panel(settings, pointer=arguments.pointer)


def _run(arguments: argparse.Namespace) -> None:
    from osirix_agent.agent.live import run_live
    from osirix_agent.agent.opening import Start
    from osirix_agent.panel.live import run_with_panel
    from osirix_agent.settings import load_settings

    run = run_with_panel if arguments.panel else run_live
    run(
        load_settings(**_overrides(arguments)),
        for_seconds=arguments.for_seconds,
        wait_s=arguments.wait,
        fresh=arguments.fresh,
        start=None if arguments.start is None else Start(arguments.start, tuple(arguments.start_only)),
    )


def _say(arguments: argparse.Namespace) -> int:
    from osirix_agent.agent.control import ask_agents

    if bool(arguments.sentence) + bool(arguments.wav) + arguments.microphone != 1:
        print("osirix-agent: say a sentence, or give --wav FILE or --microphone.", file=sys.stderr)
        return 2
    if arguments.sentence:
        answer = ask_agents({"say": " ".join(arguments.sentence), "heard": arguments.heard})
        print(json.dumps(answer) if arguments.json else answer.get("message", ""))
        return 0 if answer.get("ok") else 5
    from osirix_agent.agent.hearing import from_file, from_microphone, say_sounds
    from osirix_agent.prompting.voice.listener import open_listener
    from osirix_agent.prompting.voice.microphone import Microphone
    from osirix_agent.settings import load_settings

    def tell(answer: dict[str, object]) -> None:
        heard = f"Heard: {answer['heard']}. " if answer.get("heard") else ""
        print(json.dumps(answer) if arguments.json else f"{heard}{answer.get('message', '')}", flush=True)

    sounds = from_file(arguments.wav) if arguments.wav else from_microphone(Microphone(), input)
    chosen = {"speech_model_dir": arguments.speech_model_dir} if arguments.speech_model_dir else {}
    return 0 if say_sounds(open_listener(load_settings(**chosen)), sounds, tell) else 5


def _bench_speech(arguments: argparse.Namespace, chooser: Any) -> Any:
    from osirix_agent.bench.speech import measure_speech
    from osirix_agent.prompting.voice.free import open_free
    from osirix_agent.prompting.voice.listener import Listener
    from osirix_agent.prompting.voice.synthetic import voices
    from osirix_agent.prompting.voice.tuning import find_tuning
    from osirix_agent.settings import load_settings

    folder = arguments.speech_model_dir
    free, plain = (None, None) if folder is None else (
        open_free(folder, find_tuning(load_settings())), open_free(folder)
    )  # fmt: skip
    with _busy("making the language model") as tell:
        return measure_speech(
            arguments.seed, arguments.corpus, arguments.sample, Listener(free), plain, voices(), tell,
            "" if free is None else free.tuned, chooser,
        )  # fmt: skip


def _virtual(arguments: argparse.Namespace) -> None:
    from osirix_agent.demo.alone import run_virtual_osirix

    run_virtual_osirix(arguments.dicom, arguments.port, arguments.click, arguments.pictures, arguments.fault)


def _doctor(arguments: argparse.Namespace) -> int:
    from osirix_agent.doctor import Finding, examine, print_findings
    from osirix_agent.settings import load_settings

    settings = load_settings(**_overrides(arguments))
    findings: list[Finding] = []

    def tell(finding: Finding) -> None:
        findings.append(finding)
        if not arguments.json:
            print_findings([finding])

    try:
        for finding in examine(settings):
            tell(finding)
        if arguments.live:
            from osirix_agent.trial import examine_live

            with _interrupted_by_signals():
                examine_live(settings, lambda shown: arguments.yes_throw_away or _throw_away(shown), tell)
    finally:
        if arguments.json:
            print(json.dumps({"findings": [finding.as_json() for finding in findings]}))
    return 0 if all(finding.good for finding in findings) else 1


def _plugin(arguments: argparse.Namespace) -> int:
    from osirix_agent import plugin

    place = {name: given for name in ("root", "home") if (given := getattr(arguments, name)) is not None}
    if arguments.what == "status":
        from osirix_agent.doctor import Finding, print_findings

        found = Finding(*plugin.status(**place))
        print_findings([found])
        return 0 if found.good else 1
    if arguments.what == "install":
        plugin.install(launch_agent=arguments.launch_agent, dry_run=arguments.dry_run, **place)
    else:
        plugin.remove(dry_run=arguments.dry_run, **place)
    print("Nothing was changed: this was a dry run." if arguments.dry_run else "Done. Start OsiriX again.")
    return 0


def _throw_away(shown: str) -> bool:
    """Ask at the terminal; without one the answer is no."""
    if not sys.stdin.isatty():
        return False
    print(f"In front: {shown}. ROIs are drawn on the displayed slice, read back and deleted.", file=sys.stderr)
    return input("Type 'throw away' if this study can be thrown away: ").strip().lower() == "throw away"


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """A polite kill is a Ctrl-C, so that it cleans up as that does."""
    import signal

    before = {name: signal.signal(name, signal.default_int_handler) for name in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _bench(arguments: argparse.Namespace) -> int:
    from osirix_agent.agent.log import versions
    from osirix_agent.bench.run import measure
    from osirix_agent.figures import report

    if arguments.what == "voice":
        from osirix_agent.bench.voice import measure_text
        from osirix_agent.prompting.guesser import find_guesser
        from osirix_agent.settings import load_settings

        guesser = find_guesser(load_settings())
        figures = measure_text(arguments.seed, arguments.corpus, guesser)
        if not arguments.text_only:
            figures += _bench_speech(arguments, guesser)
        report(
            figures, seed=arguments.seed, versions=versions(), as_json=arguments.json, title="osirix-agent bench voice"
        )
        return 0 if all(figure.holds is not False for figure in figures) else 1
    figures = measure(
        "serve-soak" if arguments.what == "soak" and arguments.serve else arguments.what,
        arguments.seed, arguments.sequences, arguments.only, quiet=arguments.json, runs=arguments.runs,
        kills=arguments.kills, minutes=arguments.minutes, sessions=arguments.sessions,
        prompts=arguments.prompts, dicom=arguments.dicom,
    )  # fmt: skip
    report(figures, seed=arguments.seed, versions=versions(), as_json=arguments.json, title="osirix-agent bench")
    return 0 if all(figure.holds is not False for figure in figures) else 1


def _serve(arguments: argparse.Namespace) -> None:
    from osirix_agent.errors import SettingsError
    from osirix_agent.segmenter.server import run
    from osirix_agent.settings import load_settings

    if arguments.init_tls is not None:
        run.make_certificates(arguments.init_tls)
    elif arguments.pair is not None:
        if arguments.tls is None:
            raise SettingsError("A pairing needs the server's certificates.", "Name their folder with --tls.")
        run.make_pairing(arguments.tls, arguments.pair)
    elif arguments.unit is not None:
        run.print_unit(arguments.unit, sys.argv[1:], load_settings())
    else:
        run.serve(
            load_settings(**_overrides(arguments)), arguments.host, arguments.port, arguments.tls,
            arguments.metrics_port, arguments.nninteractive, arguments.ray, arguments.replicas,
        )  # fmt: skip


def _evaluate(arguments: argparse.Namespace) -> int:
    from osirix_agent.settings import load_settings
    from osirix_agent.training.benchmark import DEFAULT_ROWS, benchmark, print_benchmark

    settings = load_settings(model_dir=arguments.model_dir, device=arguments.device)
    if arguments.uncertainty:
        return _promises(arguments, settings)
    with _busy("reading patients") as tell:
        found = benchmark(
            arguments.data, arguments.segmenters or ["model", "classical"], arguments.sets, arguments.part,
            arguments.cases, settings, tuple(arguments.rows.split(",")) if arguments.rows else DEFAULT_ROWS, tell,
            arguments.ray,
        )  # fmt: skip
    if arguments.json:
        print(json.dumps(found))
    else:
        print_benchmark(found)
    return 0


def _promises(arguments: argparse.Namespace, settings: Settings) -> int:
    from osirix_agent.agent.log import versions
    from osirix_agent.belief.card import read_card
    from osirix_agent.figures import report
    from osirix_agent.segmenter.choice import ensemble
    from osirix_agent.segmenter.protocol import sources_of
    from osirix_agent.training.benchmark import chosen_segmenter
    from osirix_agent.training.calibrating import card_path
    from osirix_agent.training.promises import measure

    name = (arguments.segmenters or ["model"])[0]
    segmenter = chosen_segmenter(name, settings)
    cards = {held.segmenter: held for held in read_card(arguments.card or card_path(name, settings))}
    used = " ".join(cards[source].id for source in sources_of(segmenter) if source in cards)
    with _busy("reading patients") as tell:
        figures = measure(
            arguments.data, segmenter, cards, arguments.sets, arguments.part, limit=arguments.cases,
            share=arguments.share, work=arguments.work or settings.state_dir / "stages", tell=tell,
            members=ensemble(arguments.members, settings) if arguments.members else (),
        )  # fmt: skip
    if figures is None:
        print("This share is measured. Run it again without --share when all shares are.", file=sys.stderr)
        return 0
    report(figures, seed=42, versions=versions(), as_json=arguments.json, title=f"{segmenter.name}, calibration {used}")
    return 0 if all(figure.holds is not False for figure in figures) else 1


def _calibrate(arguments: argparse.Namespace) -> None:
    from osirix_agent.settings import load_settings
    from osirix_agent.training.benchmark import chosen_segmenter
    from osirix_agent.training.calibrating import add_to_card, calibrate, card_path, print_calibration

    settings = load_settings(model_dir=arguments.model_dir, device=arguments.device)
    out = arguments.out or card_path(arguments.segmenter, settings)
    refused: list[str] = []
    with _busy("reading patients") as tell:
        fitted = calibrate(
            arguments.data, chosen_segmenter(arguments.segmenter, settings), arguments.sets, limit=arguments.cases,
            share=arguments.share, work=arguments.work or settings.state_dir / "stages", tell=tell,
            refuse=refused.append,
        )  # fmt: skip
    for reason in refused:
        print(reason, file=sys.stderr)
    if fitted is None:
        print("This share is contoured. Run it again without --share when all shares are.", file=sys.stderr)
        return
    held = add_to_card(out, fitted)
    if arguments.json:
        shown = [{"id": one.id, **one.model_dump(mode="json", include={"segmenter", "fits"})} for one in held]
        print(json.dumps({"card": str(out), "calibrations": shown}))
    else:
        for one in held:
            print_calibration(one)
        print(f"Written to {out}.")


def _train(arguments: argparse.Namespace) -> None:
    given = {name: getattr(arguments, name, None) for name in ("steps", "cool_down", "seed")}
    changes = {name: value for name, value in given.items() if value is not None}
    if arguments.what == "base":
        from osirix_agent.training.base import BaseRecipe, train_base

        begin = arguments.encoder or arguments.further
        train_base(BaseRecipe(**changes), begin, arguments.work, arguments.out, __version__)
    elif arguments.what == "peer":
        from osirix_agent.training.peer import PeerRecipe, train_peer

        train_peer(PeerRecipe(**changes), arguments.work, arguments.out, __version__)
    elif arguments.what == "refiner":
        from osirix_agent.segmenter.choice import to_stderr
        from osirix_agent.training.refining import RefinerRecipe, train_refiner

        refiner = RefinerRecipe(**changes)
        train_refiner(refiner, arguments.data, arguments.base, arguments.work, arguments.out, __version__, to_stderr)
    elif arguments.what == "dictation":
        from osirix_agent.bench.sentences import HEARD, PARAPHRASES, read_sentences
        from osirix_agent.training.dictation import DictationRecipe, train_dictation

        said = [one.say for name in HEARD for one in read_sentences(PARAPHRASES[name])]
        spoken = DictationRecipe(**changes)
        train_dictation(spoken, arguments.speech_model_dir, said, arguments.work, arguments.out, __version__)
    elif arguments.what == "guesses":
        from osirix_agent.bench.sentences import KNOWN, teaching_sets
        from osirix_agent.bench.sentences import recipe as drawn_by
        from osirix_agent.training.guessing import GuesserRecipe, train_guesser

        learning = GuesserRecipe(**changes)
        sets = {name: [(one.say, one.intents) for one in sentences] for name, sentences in teaching_sets().items()}
        drawn = [(one.say, one.intents) for one in drawn_by(learning.seed, learning.drawn)]
        with _busy("learning") as tell:
            print(json.dumps(train_guesser(learning, sets, drawn, KNOWN, arguments.out, __version__, tell)))
    else:
        from osirix_agent.training.adapter import RECIPES, train_adapter

        recipe = RECIPES[arguments.name].model_copy(update=changes)
        further = arguments.further
        train_adapter(recipe, arguments.base, arguments.work, arguments.out, __version__, further=further)


def _adapt(arguments: argparse.Namespace) -> int:
    from dataclasses import fields

    from osirix_agent.agent.log import versions
    from osirix_agent.figures import report
    from osirix_agent.settings import load_settings
    from osirix_agent.training.adapt import console

    asked = console.Asked(**{field.name: getattr(arguments, field.name) for field in fields(console.Asked)})
    if arguments.rollback is not None:
        print(console.roll_back(asked, arguments.rollback))
        return 0
    settings = load_settings(state_dir=arguments.state_dir)
    if arguments.report is None:
        with _busy("reading the log") as tell:
            outcome = console.learn(asked, settings, tell)
        return console.show(outcome, seed=asked.seed or 0, versions=versions(), as_json=arguments.json)
    from osirix_agent.bench.adapting import measure

    work = asked.work or settings.state_dir / "adapting"
    with _busy("contouring") as tell:
        figures = measure(arguments.report, asked.base_folder(), work, asked.recipe_changes(), tell)
    report(figures, seed=asked.seed or 0, versions=versions(), as_json=arguments.json, title="osirix-agent adapt")
    return 0 if all(figure.holds is not False for figure in figures) else 1


def _log(arguments: argparse.Namespace) -> int:
    from osirix_agent.record import console
    from osirix_agent.settings import load_settings

    settings = load_settings(state_dir=getattr(arguments, "state_dir", None))
    match arguments.what:
        case "verify":
            found = console.verify(arguments.log, settings.state_dir)
        case "show":
            found = console.show(arguments.log)
        case "stats":
            found = console.stats(arguments.log or settings.state_dir)
        case "export":
            found = console.export(arguments.log or settings.state_dir, arguments.out)
        case "report":
            found = console.report(arguments.log or settings.state_dir, arguments.out)
        case "images":
            from osirix_agent.record.export.deidentified import images

            found = images(arguments.log or settings.state_dir, arguments.dicom, arguments.out, settings.state_dir)
        case "merge":
            found = console.merge(arguments.logs, arguments.out)
        case _:
            patient = sys.stdin.readline().strip() if arguments.patient == "-" else arguments.patient
            models = arguments.models or [one for one in (settings.model_dir,) if one is not None]
            found = console.forget(patient, settings.state_dir, models)
    print(json.dumps(found.as_json) if getattr(arguments, "json", False) else "\n".join(found.lines))
    return 0 if found.good else 1


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _export(arguments: argparse.Namespace) -> None:
    from osirix_agent.agent.exporting import deliver, export_session
    from osirix_agent.record.export.files import Formats
    from osirix_agent.record.export.node import Node
    from osirix_agent.settings import load_settings

    formats = Formats(
        rtstruct=arguments.rtstruct or not (arguments.seg or arguments.nifti), append=arguments.append,
        seg=arguments.seg, probabilities=arguments.probabilities, nifti=arguments.nifti, bands=arguments.bands,
    )  # fmt: skip
    settings = load_settings(**_overrides(arguments))
    if arguments.send is not None:
        Node.parse(arguments.send)  # a wrong one is said before the work
    with _busy("putting the session together again"):
        exported = export_session(
            arguments.journal, arguments.dicom, arguments.out, formats, settings, arguments.structures
        )
        deliver(exported, settings, node=arguments.send, to_osirix=arguments.to_osirix)
    if arguments.json:
        print(json.dumps(exported.as_json()))
    else:
        print(f"{', '.join(exported.structures)}: {', '.join(str(path) for path in exported.files)}")


def _replay(arguments: argparse.Namespace) -> int:
    from osirix_agent.demo.replaying import replay_journal
    from osirix_agent.settings import load_settings

    if arguments.model is not None:
        return _compare(arguments, load_settings(**_overrides(arguments)))
    with _busy("asking for every mask again"):
        outcome = replay_journal(arguments.journal, arguments.dicom, load_settings(**_overrides(arguments)))
    if arguments.json:
        print(json.dumps(outcome.as_json()))
    else:
        outcome.print()
    return 0 if outcome.same else 1


def _compare(arguments: argparse.Namespace, settings: Settings) -> int:
    from osirix_agent.demo.comparing import compare, other_segmenter

    with _busy("loading the model") as tell:
        make = partial(other_segmenter, arguments.model, settings)
        if arguments.ray is None:  # what shows progress cannot travel
            make = partial(make, tell=tell)
        found = compare(arguments.journal, arguments.dicom, make, settings, arguments.tolerance, tell, arguments.ray)
    print(json.dumps(found.as_json()) if arguments.json else "\n".join(found.lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
