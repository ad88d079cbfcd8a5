"""Errors become lines and exit codes in one place: what is the user's to mend, and what is a bug of ours."""

import json
from types import SimpleNamespace

import pytest

from edgegate.errors import CompileError, EdgeGateError, ExitCode, Problem

KINDS = sorted(EdgeGateError.__subclasses__(), key=lambda kind: kind.exit_code)


def raising(error):
    def call(*_):
        raise error

    return call


@pytest.fixture
def failing(edgegate, monkeypatch):
    """``edgegate report`` with an error in it."""

    def call(error, *options):
        monkeypatch.setattr("edgegate.artifact.load", raising(error))
        return edgegate("report", "m.egate", *options)

    return call


def test_every_kind_of_error_has_an_exit_code_of_its_own():
    assert [kind.exit_code for kind in KINDS] == [2, 3, 4, 5, 6, 7]
    assert {kind.exit_code for kind in KINDS} | {0, 1} == set(ExitCode)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not CompileError])
def test_deliberate_errors(failing, kind):
    done = failing(kind("a reason"))
    assert (done.code, done.out, done.lines) == (kind.exit_code, "", ("error: a reason",))


def test_a_line_per_problem(failing):
    problems = [Problem(where=f"node {i}", what="is odd", fix="replace it") for i in range(3)]
    done = failing(CompileError.of(problems))
    assert (done.code, done.out) == (3, "")
    assert done.lines == tuple(f"error: node {i}: is odd; replace it" for i in range(3))


@pytest.mark.parametrize(
    "error", [RuntimeError("a\nb"), AssertionError("a\nb"), KeyError("a"), ValueError("a\nb"), MemoryError()]
)
def test_a_bug_of_ours_is_one_line_and_says_how_to_see_more(failing, error):
    done = failing(error)
    assert (done.code, done.out) == (1, "")
    (line,) = done.lines
    assert line.startswith(f"internal error: {type(error).__name__}: ")
    assert line.endswith("; --debug shows where")


def test_debug_shows_where(failing):
    done = failing(RuntimeError("a reason"), "--debug")
    assert done.code == 1
    assert done.lines[0] == "Traceback (most recent call last):"
    assert "RuntimeError: a reason" in done.lines


def test_only_a_check_of_ours_makes_a_value_error_the_users(edgegate, folder, monkeypatch):
    assert edgegate("compile", "m.onnx", "--calib-method", "guess").code == 2
    known: list[float] = []
    for isfinite in (known.index, lambda _: int("x")):  # Python raises the one in our line, the other below it
        monkeypatch.setattr("edgegate.options.math", SimpleNamespace(isfinite=isfinite))
        done = edgegate("compile", "m.onnx", "--input-range", "1,2")
        assert done.code == 1
        assert done.lines[0].startswith("internal error: ValueError: ")


def test_ctrl_c(failing):
    done = failing(KeyboardInterrupt())
    assert (done.code, done.out, done.lines) == (130, "", ("interrupted",))


def test_errors_cannot_steer_the_terminal(edgegate):
    done = edgegate("report", "a\x1b[31m.egate")
    assert (done.code, done.lines) == (5, (r"error: 'a\x1b[31m.egate': no such file",))


def test_targets(edgegate):
    done = edgegate.good("targets")
    assert done.lines == ()
    words = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert "CPU" in words["llvm"]
    found = json.loads(edgegate.good("targets", "--json").out)
    assert found == {"schema": 1, "command": "targets", "targets": words}
    assert "another" in edgegate.misused("targets", "another")


def test_version_and_help(edgegate):
    import edgegate as package

    assert edgegate.good("--version").out == f"edgegate {package.__version__}\n"
    for option in ("-h", "--help"):
        done = edgegate.good(option)
        assert done.out.startswith("Usage: edgegate ")
        for command in ("compile", "quantize", "run", "verify", "bench", "report", "targets"):
            assert f"\n  {command} " in done.out
            assert edgegate.good(command, option).out.startswith(f"Usage: edgegate {command} ")
    assert "abacus" in edgegate.misused("abacus")
