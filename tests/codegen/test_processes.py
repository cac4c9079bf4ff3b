"""Several processes write the files of one run: nobody can tell from the results, and nothing of them is left."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from google.protobuf.compiler import plugin_pb2

from protoc_gen_micro.errors import GenerateError
from protoc_gen_micro.run import processes
from tests.codegen.tools import NAMES, PROTOS, PURELIB, ROOT, request, write

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

COMMON = sorted(path.relative_to(PURELIB).as_posix() for path in (PURELIB / "google").rglob("*.proto"))
"""The protos of googleapis-common-protos."""

PLUGIN = """
    import os, sys
    from protoc_gen_micro.run import processes
    from protoc_gen_micro.run.generate import answer

    forks, fork = [], os.fork
    def counted():
        forks.append(1)
        return fork()
    os.fork = counted
    data = sys.stdin.buffer.read()
"""
"""A program that runs the plugin and counts the processes that it starts."""

ANSWER = """
    sys.stdout.buffer.write(answer(data))
    sys.stdout.flush()
    print("forks:", len(forks), file=sys.stderr)
"""

MAKING = """
    import os, signal, sys
    from protoc_gen_micro.run.processes import in_order

    parent, numbers = os.getpid(), list(range(40))
    ready, began = os.pipe()
    go, all_began = os.pipe()
    begun = []

    def in_child(index):
        "What a child does for each result."

    def in_parent(index):
        "What the parent does for each result."

    def meet():
        "Waits until each process has a result to make."
        if os.getpid() == parent:
            for _ in range(children):
                os.read(ready, 1)
            os.write(all_began, b"x" * children)
        else:
            os.write(began, b"x")
            os.read(go, 1)
        begun.append(True)

    def make(index):
        if not begun:
            meet()
        (in_parent if os.getpid() == parent else in_child)(index)
        return index, str(os.getpid())

    def left():
        "Returns the descriptors of this process, and fails if it has a child."
        try:
            raise SystemExit(f"a child is left: {os.waitpid(-1, os.WNOHANG)}")
        except ChildProcessError:
            return sorted(os.listdir("/proc/self/fd"))

    def check():
        made = list(in_order(make, numbers, children + 1))
        assert [index for index, _ in made] == numbers, made
        return {pid for _, pid in made}

    children = 3
    before = left()
"""
"""A program that makes results in four processes, at least one in each."""


def python(*program: str, data: bytes = b"", wanted: int | None = None, status: int = 0) -> tuple[bytes, str]:
    """Runs a program, and returns what it writes."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "protoc-gen-micro")])}
    environment.pop(processes.VARIABLE, None)
    if wanted is not None:
        environment[processes.VARIABLE] = str(wanted)
    source = "\n".join(map(textwrap.dedent, program))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source], input=data, env=environment, capture_output=True, timeout=120
    )
    assert done.returncode == status, done.stderr.decode()
    return done.stdout, done.stderr.decode()


def plugin(data: bytes, wanted: int, *before: str) -> tuple[bytes, list[str], int]:
    """Returns the answer of the plugin, its warnings, and how many processes it started."""
    out, told = python(PLUGIN, *before, ANSWER, data=data, wanted=wanted)
    *warnings, forks = told.splitlines()
    return out, warnings, int(forks.removeprefix("forks: "))


@pytest.mark.parametrize(
    "parameter", ["", "messages=betterproto", f"templates={ROOT}/examples/custom_template/templates"]
)
@pytest.mark.parametrize(("root", "names"), [(PROTOS, NAMES), (PURELIB, COMMON)], ids=["ours", "common"])
def test_the_answer_does_not_depend_on_the_number_of_processes(root: Path, names: list[str], parameter: str) -> None:
    data = request([root, ROOT], names, parameter).SerializeToString()
    alone = plugin(data, 1)
    assert alone[2] == 0
    assert plugin(data, 2) == (*alone[:2], 1)
    assert plugin(data, 7) == (*alone[:2], 6)


def test_errors_come_in_the_order_of_the_files(tmp_path: Path) -> None:
    clash = 'syntax = "proto3"; package p{0}; message M {{}} service S {{ rpc _A(M) returns (M); rpc rpc_A(M) returns (M); }}'
    plain = 'syntax = "proto3"; package p{0}; message M {{ string name = 1; }}'
    sources = {f"f{number}.proto": (plain if number % 3 else clash).format(number) for number in range(30)}
    write(tmp_path, sources)
    data = request([tmp_path], list(sources)).SerializeToString()
    alone, _, _ = plugin(data, 1)
    said = [line.partition(":")[0] for line in plugin_pb2.CodeGeneratorResponse.FromString(alone).error.splitlines()]
    assert said == [f"f{number}.proto" for number in range(0, 30, 3)]
    assert plugin(data, 4) == (alone, [], 3)


def test_warnings_come_in_the_order_of_the_files(tmp_path: Path) -> None:
    fields = "".join(f"required int32 f{number} = {number};" for number in range(1, 18))
    filler = " ".join(f"message M{{0}}_{number} {{{{}}}}" for number in range(9))
    text = 'syntax = "proto2"; message M{0} {{ ' + fields + " }} "
    # The largest files are written first.
    sources = {f"f{n}.proto": (text + filler * (n % 3 == 2)).format(n) for n in range(9)}
    write(tmp_path, sources)
    data = request([tmp_path], list(sources), "messages=betterproto").SerializeToString()
    alone = plugin(data, 1)
    places = [line.split(": ")[1] for line in alone[1] if line.startswith("  f")]
    assert places == [f"M{number}.f{field}" for number in range(2) for field in range(1, 18)][:20]
    assert alone[1][-1] == "  and 133 more"
    assert plugin(data, 2) == (*alone[:2], 1)


@pytest.mark.parametrize(
    "thread", ["threading.Thread(target=stop.wait).start()", "_thread.start_new_thread(stop.wait, ())"]
)
def test_a_process_with_threads_is_not_forked(thread: str) -> None:
    data = request([PURELIB], COMMON).SerializeToString()
    started = f"import _thread, threading\nstop = threading.Event()\n{thread}\n"
    stopped = "print('forks:', len(forks), file=sys.stderr)\nstop.set()\n"
    out, told = python(PLUGIN, started, "sys.stdout.buffer.write(answer(data))\n", stopped, data=data, wanted=4)
    assert (out, told) == (plugin(data, 1)[0], "forks: 0\n")


def test_a_thread_is_seen_where_the_system_does_not_list_them() -> None:
    program = """
        import threading
        from protoc_gen_micro.run.processes import processes_for
        def refused(*_):
            raise FileNotFoundError
        os.listdir = refused
        assert processes_for([1, 1]) == 2
        stop = threading.Event()
        threading.Thread(target=stop.wait, daemon=True).start()
        assert processes_for([1, 1]) == 1
        stop.set()
    """
    python(PLUGIN, program, wanted=2)


def test_every_process_makes_results_and_nothing_of_them_is_left() -> None:
    python(MAKING, "assert len(check()) == 4\nassert left() == before")


def test_a_child_that_is_killed_loses_nothing() -> None:
    killed = "def in_child(index): os.kill(os.getpid(), signal.SIGKILL)\n"
    python(MAKING, killed, "assert check() == {str(parent)}\nassert left() == before")


def test_a_child_that_is_killed_while_it_delivers_loses_nothing() -> None:
    killed = """
        write = os.write
        def half(pipe, data):
            if os.getpid() == parent or data == b"x":
                return write(pipe, data)
            write(pipe, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        os.write = half
    """
    python(MAKING, killed, "assert check() == {str(parent)}\nassert left() == before")


def test_the_answer_is_whole_though_children_are_killed() -> None:
    data = request([PURELIB], COMMON).SerializeToString()
    killed = """
        import signal
        from protoc_gen_micro.run import generate
        parent, render = os.getpid(), generate.render
        ready, began = os.pipe()
        def rendered(*arguments):
            if os.getpid() != parent:
                os.close(began)
                os.kill(os.getpid(), signal.SIGKILL)
            if len(forks) == 1:
                os.close(began)
                os.read(ready, 1)  # until the child has a file
                forks.append(0)
            return render(*arguments)
        generate.render = rendered
    """
    out, _, _ = plugin(data, 2, killed)
    assert out == plugin(data, 1)[0]


def test_the_first_exception_is_raised_wherever_others_were() -> None:
    program = """
        def failing(index):
            if index % 5 == 3:
                raise KeyError(index)
        in_child = in_parent = failing
        made = in_order(make, numbers, children + 1)
        assert [next(made)[0] for _ in range(3)] == [0, 1, 2]
        try:
            next(made)
        except KeyError as error:
            assert error.args == (3,), error
        else:
            raise SystemExit("no exception")
        assert left() == before
    """
    python(MAKING, program)


def test_an_interrupt_ends_the_children_too() -> None:
    program = """
        def in_child(index):
            signal.pause()
        def in_parent(index):
            raise KeyboardInterrupt
        try:
            check()
        except KeyboardInterrupt:
            assert left() == before
        else:
            raise SystemExit("no interrupt")
    """
    python(MAKING, program)


@pytest.mark.parametrize("call", ["fork", "pipe"])
def test_without_processes_or_descriptors_one_process_makes_everything(call: str) -> None:
    program = f"""
        def refused():
            raise OSError("refused")
        os.{call} = refused
        children = 0
        assert {{pid for _, pid in in_order(make, numbers, 4)}} == {{str(parent)}}
        assert left() == before
    """
    python(MAKING, program)


def test_a_child_writes_nothing_of_its_parent() -> None:
    program = """
        import atexit
        atexit.register(print, "exit")
        sys.stdout.write("begin ")
        check()
    """
    assert python(MAKING, program) == (b"begin exit\n", "")


def usable(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Lets this process have a number of processors, and no threads."""
    monkeypatch.delenv(processes.VARIABLE, raising=False)
    monkeypatch.setattr(processes, "_is_alone", lambda: True)
    monkeypatch.setattr(os, "sched_getaffinity", {0: set(range(count))}.get, raising=False)


@pytest.mark.parametrize(
    ("count", "weights", "wanted"),
    [
        (1, [1_000] * 100, 1),
        (2, [1_000] * 100, 2),
        (64, [1_000] * 100, 4),
        (64, [1_000] * 15, 1),
        (64, [1_000] * 16, 2),
        (64, [1] * 1_000, 1),
        (2, [], 1),
    ],
)
def test_a_large_run_takes_the_processors_that_it_may_use(
    count: int, weights: list[int], wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    usable(monkeypatch, count)
    assert processes.processes_for(weights) == wanted


def test_the_variable_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    usable(monkeypatch, 8)
    for said, wanted in {"1": 1, "3": 3, "64": 10, "": 4}.items():
        monkeypatch.setenv(processes.VARIABLE, said)
        assert processes.processes_for([10_000] * 10 if said else [10_000] * 100) == wanted


@pytest.mark.parametrize("said", ["0", "65", "-1", "two", "1.5", " 2", "٣", "9" * 5_000])
def test_a_variable_that_is_no_number_of_processes_is_an_error(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(processes.VARIABLE, said)
    with pytest.raises(GenerateError) as caught:
        processes.processes_for([1, 1])
    assert str(caught.value) == (
        f"environment variable MICRO_GENERATE_PROCESSES is {said[:64]!a}; it must be a number from 1 to 64"
    )
