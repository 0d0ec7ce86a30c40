"""What damaged input does to the commands.

    python -m benchmarks.hostile [--seeds N] [--only zoo,features,labels,images] [--case FAMILY:KIND:SEED] [--out DIR]

Damages a zoo, features, labels or images in every way that the files of this folder know, each from so many seeds, and
gives them to `nrjax rank`, `nrjax rank-features` and `nrjax zoo`. A case fails where a command hangs, dies, shows a
traceback, takes too much memory, says other than one line per problem, or costs sound models their result. One process
runs case after case and is replaced when it hangs or dies. The exit code is 1 where a case failed.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
import traceback
import unicodedata
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import answer, commit, invocation
from benchmarks.hostile import features, images, labels, zoos
from benchmarks.hostile.features import Case

RESULTS = Path(__file__).parent / "results"
FAMILIES: dict[str, Any] = {"zoo": zoos, "features": features, "labels": labels, "images": images}
MEMORY = 1500  # MiB that a case may take
LONGEST = 1200  # characters of a sentence
Run = tuple[Any, str, str]  # exit code or traceback, stdout, stderr
_USAGE = re.compile(r"\AUsage: .*\nTry .*\n\n")
_STDERR = re.compile(r"Error: .+|Left out .+|Ranked .+ in [\d.]+ s\.|\d+ of \d+ models failed\.")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hostile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2, help="Cases of every kind [2].")
    parser.add_argument("--only", default=",".join(FAMILIES), help="Families, separated by commas [all].")
    parser.add_argument("--case", metavar="FAMILY:KIND:SEED", help="Repeat this case and show all of it.")
    parser.add_argument("--timeout", type=float, default=60, help="Seconds after which a case hangs [60].")
    parser.add_argument("--out", type=Path, default=RESULTS, help="Where results go.")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """The command; 0, or 1 where a case failed."""
    options, failed = arguments(argv), []
    return answer(lambda: failed.extend(_run(options))) or int(bool(failed))


def _run(options: argparse.Namespace) -> list[dict[str, Any]]:
    if options.case:
        family, kind, seed = options.case.split(":")
        wanted = [(family, kind, int(seed))]
    else:
        wanted = [(f, k, s) for f in options.only.split(",") for k in _family(f).KINDS for s in range(options.seeds)]
    unknown = [f"{family}:{kind}" for family, kind, _ in wanted if kind not in _family(family).KINDS]
    if unknown:
        raise ValueError(f"There is no kind {unknown[0]}; see KINDS in the files of benchmarks/hostile.")
    made_at, start, results = commit(), time.perf_counter(), run_cases(wanted, options.timeout, _tell)
    failed = [result for result in results if result["problems"]]
    if options.case:
        print(json.dumps(results[0], indent=2))
        return failed
    command = invocation("benchmarks.hostile", options, arguments([]))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "README.md").write_text(
        readme(results, f"`{command}` at commit {made_at} in {time.perf_counter() - start:,.0f} s"), encoding="utf-8"
    )
    print(f"{len(results)} cases, {len(failed)} failed; see {options.out / 'README.md'}", file=sys.stderr)
    return failed


def _family(name: str) -> Any:
    if name not in FAMILIES:
        raise ValueError(f"There is no family {name!r}; they are {', '.join(FAMILIES)}.")
    return FAMILIES[name]


def _tell(result: dict[str, Any]) -> None:
    if result["problems"]:
        print(f"{result['case']}: {'; '.join(result['problems'])[:300]!r}", file=sys.stderr, flush=True)


def run_cases(
    wanted: Sequence[tuple[str, str, int]], timeout: float = 60, on_done: Callable[[dict[str, Any]], Any] = id
) -> list[dict[str, Any]]:
    """Every case in a process that is replaced when it hangs, dies or takes far too much memory; what came of each."""
    results, worker = [], None
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        for family, kind, seed in wanted:
            worker = worker or _Worker(folder)
            result = {"family": family, "kind": kind, "case": f"{family}:{kind}:{seed}", "outcome": "failed",
                      "mib": 0, "seconds": timeout, "problems": []}  # fmt: skip
            done = worker.ask((family, kind, seed), timeout)
            if isinstance(done, str):
                result["problems"] = [done]
                worker.stop()
                worker = None
            else:
                result |= done
            results.append(result)
            on_done(result)
    if worker:
        worker.stop()
    return results


class _Worker:
    def __init__(self, folder: str):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, folder), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(120) or self._pipe.recv() != "ready":
            raise ValueError("The process that runs the cases does not start.")

    def ask(self, case: tuple[str, str, int], timeout: float) -> dict[str, Any] | str:
        """What came of a case, or how the process ended."""
        self._pipe.send(case)
        before, end = _memory(self._process.pid, "VmRSS"), time.monotonic() + timeout
        while not self._pipe.poll(0.02):
            if time.monotonic() > end:
                return f"hangs: no answer in {timeout:g} s"
            if _memory(self._process.pid, "VmRSS") - before > 3 * MEMORY:
                return f"memory: more than {3 * MEMORY} MiB, ended"
        try:
            return self._pipe.recv()
        except EOFError:
            self._process.join()
            return f"dies: the process ended with {self._process.exitcode}"

    def stop(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()


def _memory(pid: Any, field: str) -> float:
    """MiB of a process, of a field of /proc/PID/status; 0 where there is none."""
    with contextlib.suppress(OSError):
        found = re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0
    return 0


def _serve(pipe: Any, folder: str) -> None:
    """The process that runs cases: stdout and stderr are files, also for what libraries write past Python."""
    streams = [open(os.path.join(folder, f"{os.getpid()}-{n}"), "w+b", buffering=0) for n in (1, 2)]
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream.fileno(), number)
    for stream, errors in ((sys.stdout, "strict"), (sys.stderr, "backslashreplace")):
        stream.reconfigure(encoding="utf-8", errors=errors)  # pyright: ignore[reportAttributeAccessIssue]
    for kind in (UserWarning, RuntimeWarning):
        warnings.simplefilter("always", kind)
    with tempfile.TemporaryDirectory(dir=folder) as first:  # imports and compiles what the cases share
        _once(zoos.build("text-markup", np.random.default_rng(0), Path(first)), streams)
    pipe.send("ready")
    while True:
        family, kind, seed = pipe.recv()
        with tempfile.TemporaryDirectory(dir=folder) as name:
            rng = np.random.default_rng([seed, zlib.crc32(f"{family}:{kind}".encode())])
            case = FAMILIES[family].build(kind, rng, Path(name))
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            before, start = _memory("self", "VmRSS"), time.perf_counter()
            runs = _once(case, streams)
            seconds, mib = time.perf_counter() - start, _memory("self", "VmHWM") - before
            outcome, problems = judged(case, *runs)
            problems += [f"memory: {mib:,.0f} MiB"] if mib > MEMORY else []
        pipe.send({"outcome": outcome, "problems": problems, "seconds": seconds, "mib": max(mib, 0), "runs": runs})


def _once(case: Case, streams: Sequence[Any]) -> list[Run]:
    """Exit code (or traceback), stdout and stderr of the ranking as JSON, as a table, and of the other command."""
    words = [[*case.arguments, "--format", "json"], case.arguments, *([case.listing] if case.listing else [])]
    return [_call([str(word) for word in line], streams) for line in words]


def _call(words: list[str], streams: Sequence[Any]) -> Run:
    from nrjax.cli import main as nrjax

    for stream in streams:
        stream.truncate(0)
        stream.seek(0)
    try:
        nrjax.main(words, prog_name="nrjax", color=True)  # as on a terminal: click would take escapes out of a file
        code: Any = None
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        code = traceback.format_exc(limit=-6)
    sys.stdout.flush()
    sys.stderr.flush()
    for stream in streams:
        stream.seek(0)
    out, err = (stream.read().decode("utf-8", "surrogateescape") for stream in streams)
    return code, out, err


def judged(case: Case, ranking: Run, table: Run, listing: Run | None = None) -> tuple[str, list[str]]:
    """What became of a case, `ranked` or `refused`, and what is wrong with that."""
    problems = []
    for run, name in ((ranking, "json"), (table, "table"), (listing, "nrjax zoo")):
        problems += [f"{name}: {problem}" for problem in (_spoken(*run, name == "json") if run else [])]
    code, out, err = ranking
    if not out:  # nothing was ranked
        reasons = [_USAGE.sub("", err).removeprefix("Error: ").strip()]
        problems += [] if case.whole else ["the sound models are not ranked"]
    else:
        document = json.loads(out, parse_constant=float)
        models, classes = document["models"], document["settings"]["classes"]
        reasons = [model["reason"] for model in models if model["score"] is None]
        ranked = {model["name"] for model in models if model["score"] is not None and np.isfinite(model["score"])}
        problems += [f"{name} is not ranked" for name in case.sound if name not in ranked]
        problems += [f"exit code {code!r:.40}, {len(reasons)} failed"] if code != int(bool(reasons)) else []
        problems += [f"{classes} classes, not {case.classes}"] if case.classes not in (0, classes) else []
    problems += [f"no sentence: {reason[:200]!r}" for reason in reasons if _is_no_sentence(reason)]
    problems += [f"does not name {case.names}: {reason[:200]!r}" for reason in reasons if case.names not in reason]
    outcome = "refused" if reasons else "ranked"
    problems += [f"{outcome}, not {case.expected}"] if case.expected not in (outcome, "either") else []
    return outcome if code in (0, 1, 2) else "failed", list(dict.fromkeys(problems))


def _spoken(code: Any, out: str, err: str, is_json: bool) -> list[str]:
    """What is wrong with how a command ended and with what it said."""
    if isinstance(code, str) or code < 0 or code > 2:
        return [f"traceback: {code}".strip()]
    err = _USAGE.sub("", err) if code == 2 else err
    problems = ["exit code 0 and nothing on stdout"] if not out and not code else []
    problems += [f"stderr has {line[:200]!r}" for line in err.splitlines() if not _STDERR.fullmatch(line)]
    problems += [f"stderr has {err.count('Error: ')} errors"] if err.count("Error: ") > 1 else []
    shown = err + ("" if is_json else out)
    problems += ["control characters are shown"] if any(map(_controls, shown)) else []
    problems += [f"a line of {len(line):,} characters" for line in err.splitlines() if len(line) > LONGEST + 200]
    return problems[:4]


def _is_no_sentence(reason: str) -> bool:
    return not 10 <= len(reason) <= LONGEST or "\n" in reason


def _controls(character: str) -> bool:
    return character != "\n" and unicodedata.category(character)[0] == "C" and character.isascii()


def readme(results: Sequence[dict[str, Any]], made_by: str) -> str:
    """The results as a page."""
    failed = [result for result in results if result["problems"]]
    lines = [
        "# Damaged input", "",
        f"{len(results):,} cases, {len(failed):,} failures. Made by {made_by}.", "",
        "Refused: what is damaged is named in one sentence. Ranked: it did no harm. In both, the sound models beside a",
        "damaged one have their scores; without labels or with an image that cannot be read nothing is ranked. A",
        "failure is a command that hangs, dies, shows a traceback or control characters, takes more than",
        f"{MEMORY:,} MiB, says other than one line per problem, or costs sound models their result. Memory and seconds",
        "are the worst of the cases; memory is what a case adds.", "",
        "| family | kind | cases | refused | ranked | failures | MiB | seconds |", "|---|---|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["family"], result["kind"]), []).append(result)
    for (family, kind), group in groups.items():
        counts = [sum(r["outcome"] == o and not r["problems"] for r in group) for o in ("refused", "ranked")]
        counts.append(sum(bool(r["problems"]) for r in group))
        worst = f"{max(r['mib'] for r in group):,.0f} | {max(r['seconds'] for r in group):.1f}"
        lines.append(f"| {family} | {kind} | {len(group)} | {' | '.join(map(str, counts))} | {worst} |")
    lines += ["", "## Failures", ""] + ([] if failed else ["None."])
    for result in failed:
        said = "; ".join(problem.splitlines()[-1][:240] for problem in result["problems"])
        said = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in said).replace("`", "'")
        lines.append(f"- `--case {result['case']}`: `{said}`")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":  # under its own name: the process that runs the cases imports this file by it
    from benchmarks.hostile.__main__ import main as command

    sys.exit(command())
