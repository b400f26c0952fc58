"""The progress stream: phases, messages and steps, in both forms of rawjson and however the stream is cut."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.buildkit.progress import Progress, Vertex, plain_lines
from harness.core.outcome import Phase

DATA = Path(__file__).parents[1] / "data" / "progress"
HANG, INDENTED = DATA / "buildctl-0.23.2-hang.jsonl", DATA / "buildx-0.13.1-indented.jsonl"

STARTED, COMPLETED = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"


def vertex(name: str, *, completed: bool = False, **more: object) -> dict[str, Any]:
    """Return a vertex as BuildKit sends it, its digest made of its name."""
    times = {"started": STARTED} | ({"completed": COMPLETED} if completed else {})
    return {"digest": f"sha256:{name}", "name": name, **times, **more}


def line(*vertexes: dict[str, Any], indent: int | None = None) -> bytes:
    """Return one object of a stream, on a line or on many."""
    return (json.dumps({"vertexes": vertexes}, indent=indent) + "\n").encode()


def seen(progress: Progress) -> tuple[object, ...]:
    """Return what a stream came to, whenever its parts came."""
    return (
        progress.phase,
        progress.completed_vertexes,
        [*progress.messages],
        [*progress.last],
        progress.vertex_error,
    )


def fed(*chunks: bytes) -> Progress:
    """Return what chunks came to, the n-th of which came at second n."""
    progress = Progress(0.0)
    for second, chunk in enumerate(chunks, 1):
        progress.feed(chunk, float(second))
    return progress


def test_where_a_build_stands() -> None:
    """It is the step that began last, that it was taken over if it was, or the export; and since when."""
    progress = Progress(0.0)
    seen = [(progress.point, progress.point_at)]
    for second, said in enumerate(
        [
            vertex("[internal] load build context"),
            vertex("[1/2] COPY big", digest="a"),
            vertex("[1/2] COPY big", digest="b", completed=True, cached=True),
            vertex("[2/2] RUN x"),
            vertex("[2/2] RUN x", completed=True),
            vertex("exporting to image"),
            vertex("exporting to image", completed=True),
        ],
        1,
    ):
        progress.feed(line(said), float(second))
        seen.append((progress.point, progress.point_at))
    assert seen == [
        ("started", 0.0),
        ("loading", 1.0),
        ("[1/2] COPY big", 2.0),
        ("[1/2] COPY big, merged", 3.0),
        ("[2/2] RUN x", 4.0),
        ("[2/2] RUN x", 4.0),
        ("exporting", 6.0),
        ("exported", 7.0),
    ]


@pytest.mark.parametrize("indent", [None, 2], ids=["compact", "indented"])
def test_a_build_from_end_to_end(indent: int | None) -> None:
    """Each phase is entered when the stream says so, with its time, and feeding tells of every new phase."""
    progress = Progress(10.0)
    steps = [
        (b"#0 connecting\n", Phase.STARTED, False),
        (line(vertex("[1/2] RUN a"), indent=indent), Phase.SOLVING, True),
        (line(vertex("[1/2] RUN a", completed=True), vertex("[2/2] RUN b"), indent=indent), Phase.SOLVING, False),
        (line(vertex("[2/2] RUN b", completed=True), indent=indent), Phase.SOLVING, False),
        (line(vertex("exporting to image"), indent=indent), Phase.EXPORTING, True),
        (line(vertex("exporting to image", completed=True), indent=indent), Phase.EXPORTED, True),
    ]
    for second, (chunk, phase, entered) in enumerate(steps, 11):
        assert bool(progress.feed(chunk, float(second)).phases) is entered
        assert progress.phase is phase
        assert progress.moved == float(second)
    progress.exited(20.0)
    assert progress.reached == {
        Phase.STARTED: 10.0,
        Phase.SOLVING: 12.0,
        Phase.EXPORTING: 15.0,
        Phase.EXPORTED: 16.0,
        Phase.EXITED: 20.0,
    }
    assert progress.completed_vertexes == 3
    assert [*progress.messages] == ["#0 connecting"]


@pytest.mark.parametrize(
    "name",
    ["exporting to image", "exporting to oci image format", "exporting cache to registry", "importing to docker"],
)
def test_every_kind_of_export(name: str) -> None:
    """Exports go by the names that BuildKit and buildx give to them; other steps are none."""
    assert fed(line(vertex(name))).phase is Phase.EXPORTING
    assert fed(line(vertex(name, completed=True))).phase is Phase.EXPORTED
    assert fed(line(vertex(f"[1/1] RUN {name}", completed=True))).phase is Phase.SOLVING


def test_an_export_of_the_cache_after_that_of_the_image() -> None:
    """A second export takes the build back to exporting, with a new time, until that one has completed too."""
    image, cache = "exporting to image", "exporting cache to client directory"
    progress = fed(line(vertex(image)), line(vertex(image, completed=True)), line(vertex(cache)))
    assert (progress.phase, progress.reached[progress.phase]) == (Phase.EXPORTING, 3.0)
    assert progress.feed(line(vertex(cache, completed=True)), 4.0).phases
    assert (progress.phase, progress.reached[progress.phase]) == (Phase.EXPORTED, 4.0)


def test_two_exports_side_by_side() -> None:
    """The build has exported once every export has completed, in whatever order they do."""
    one, other = "exporting to image", "exporting to oci image format"
    first, last = line(vertex(other, completed=True)), line(vertex(one, completed=True))
    assert fed(line(vertex(one), vertex(other)), first).phase is Phase.EXPORTING
    assert fed(line(vertex(one), vertex(other)), first, last).phase is Phase.EXPORTED


def test_an_export_that_fails_has_not_completed() -> None:
    """A failed export is no completed one, so a client that takes its time after it is never taken for a hang."""
    progress = fed(line(vertex("exporting to image", completed=True, error="no space left on device")))
    assert progress.phase is Phase.EXPORTING
    assert progress.vertex_error == "no space left on device"


def test_a_step_that_fails() -> None:
    """The last error of a vertex is kept, also when vertexes without one follow; the phase stays."""
    progress = fed(
        line(vertex("[1/2] RUN a", completed=True, error="first")),
        line(vertex("[2/2] RUN b", completed=True, error="exit code: 1")),
        line(vertex("[1/2] RUN c", completed=True)),
    )
    assert (progress.phase, progress.vertex_error) == (Phase.SOLVING, "exit code: 1")


def test_cached_steps_are_completed_steps() -> None:
    """A vertex that comes from the cache comes completed, and counts as a step and as solving."""
    progress = fed(line(vertex("[1/2] RUN a", completed=True, cached=True), vertex("[2/2] RUN b")))
    assert (progress.phase, progress.completed_vertexes) == (Phase.SOLVING, 1)


def test_a_step_that_is_entered_again() -> None:
    """A vertex that starts again after it had completed is not completed, and never counts twice."""
    name = "[internal] load build definition"
    progress = fed(line(vertex(name, completed=True), vertex(name)))
    assert progress.completed_vertexes == 0
    progress.feed(line(vertex(name, completed=True)), 2.0)
    assert progress.completed_vertexes == 1


def test_whatever_comes_is_progress() -> None:
    """Statuses, logs and the client's own lines move the build without taking it to another phase."""
    progress = fed(line(vertex("[1/1] RUN a")))
    for second, chunk in enumerate((b'{"statuses":[{"id":"x","vertex":"v"}]}\n', b'{"logs":[]}\n', b"hello\n"), 2):
        assert not progress.feed(chunk, float(second)).phases
        assert progress.moved == float(second)
    assert progress.phase is Phase.SOLVING


@pytest.mark.parametrize(
    ("chunk", "messages"),
    [
        (b"ERROR: failed to build\n", ["ERROR: failed to build"]),
        (b"  indented \n\n\n", ["indented"]),
        (b'{"vertexes":[ cut\n', ['{"vertexes":[ cut']),
        (b"caf\xc3\xa9 \xff\n", ["café �"]),
        (
            line(vertex("a"), indent=1) + b"ERROR: x\n" + line(vertex("b"), indent=1) + b"ERROR: y\n",
            ["ERROR: x", "ERROR: y"],
        ),
    ],
    ids=["error", "blank", "broken", "bytes", "between"],
)
def test_the_clients_own_lines(chunk: bytes, messages: list[str]) -> None:
    """What is no object of the stream is a message, also between objects, and never an exception."""
    assert [*fed(chunk).messages] == messages


@pytest.mark.parametrize(
    ("item", "phase"),
    [
        ('{"vertexes":[1]}', Phase.STARTED),
        ('{"vertexes":1}', Phase.STARTED),
        ('{"vertexes":null}', Phase.STARTED),
        ('{"vertexes":{"digest":"a"}}', Phase.STARTED),
        ('["vertexes"]', Phase.STARTED),
        ('{"vertexes":' + "[" * 100_000, Phase.STARTED),
        ('{"vertexes":[{"digest":"a","name":null}]}', Phase.SOLVING),
        ('{"vertexes":[{"digest":"a","name":5,"completed":"x"}]}', Phase.SOLVING),
        ('{"vertexes":[{"digest":[],"name":"exporting to image"}]}', Phase.EXPORTING),
        ('{"vertexes":[null,{"digest":{},"name":"exporting to image","completed":"x"}]}', Phase.EXPORTED),
        ('{"vertexes":[{"digest":"a","name":"a"}],"statuses":[1]}', Phase.SOLVING),
        ('{"vertexes":[{"digest":"a","name":"a"}],"statuses":1}', Phase.SOLVING),
    ],
    ids=[
        *("number", "vertexes-number", "vertexes-null", "vertexes-object", "list", "deep", "name-null", "name-number"),
        *("digest-list", "digest-object", "status-number", "statuses-number"),
    ],
)
def test_objects_of_another_shape(item: str, phase: Phase) -> None:
    """JSON that is not what BuildKit sends tells what can be read of it, to a person too, and is no exception."""
    progress = fed(item.encode() + b"\n")
    assert progress.phase is phase
    assert all(isinstance(text, str) for text in plain_lines(item))
    assert bool(progress.feed(line(vertex("exporting to oci image format")), 2.0).phases) is (
        phase is not Phase.EXPORTING
    )


def test_an_error_that_is_no_text() -> None:
    """What a vertex reports is text, whatever the client printed: the outcome is judged by its words."""
    assert fed(line(vertex("a", completed=True, error={"code": 13}))).vertex_error == "{'code': 13}"


def test_the_last_line_without_its_end() -> None:
    """What a client printed last counts when it ends, also without a line feed, and not before."""
    progress = fed(b"ERROR: context canceled")
    assert not progress.messages
    progress.exited(2.0)
    assert [*progress.messages] == ["ERROR: context canceled"]
    assert progress.phase is Phase.EXITED


def test_only_the_end_is_kept() -> None:
    """A long build keeps no more than the last lines, and the latest of them."""
    progress = fed(*(line(vertex(f"[{number}]")) + f"line {number}\n".encode() for number in range(1000)))
    assert progress.messages[-1] == "line 999"
    assert "[999]" in progress.last[-1]
    assert max(len(progress.messages), len(progress.last)) < 100


@pytest.mark.parametrize(
    ("file", "steps", "export"),
    [(HANG, 11, "exporting to image"), (INDENTED, 8, "exporting to image")],
    ids=["compact", "indented"],
)
def test_real_streams(file: Path, steps: int, export: str) -> None:
    """A real stream, fed line by line, goes through every phase in order and ends with its completed export."""
    progress, phases = Progress(0.0), [Phase.STARTED]
    for second, text in enumerate(file.read_bytes().splitlines(keepends=True), 1):
        if progress.feed(text, float(second)).phases:
            phases.append(progress.phase)
    assert phases == [Phase.STARTED, Phase.SOLVING, Phase.EXPORTING, Phase.EXPORTED]
    assert list(progress.reached.values()) == sorted(progress.reached.values())
    assert progress.completed_vertexes == steps
    assert not progress.messages
    assert not progress.vertex_error
    assert f"{export} DONE" in plain_lines(progress.last[-1])


@given(st.sampled_from([HANG, INDENTED]), st.data())
def test_real_streams_cut_anywhere(file: Path, data: st.DataObject) -> None:
    """Wherever the pipe cuts a real stream, it says the same, also where the client was killed in mid-object."""
    stream = file.read_bytes() + b"ERROR: failed\n"
    stream = stream[: data.draw(st.one_of(st.just(len(stream)), st.integers(0, len(stream))), "length")]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8), "cuts"))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole, cut = fed(stream), fed(*chunks)
    assert seen(cut) == seen(whole)
    whole.exited(99.0)
    cut.exited(99.0)
    assert seen(cut) == seen(whole)


PARTS = st.one_of(
    st.builds(
        line,
        st.builds(
            vertex,
            st.sampled_from(["[1/2] RUN a", "[2/2] RUN b", "exporting to image", "exporting cache", "é}\n{\n"]),
            completed=st.booleans(),
            error=st.sampled_from(["", "exit code: 1", "}\n{\n"]),
            cached=st.booleans(),
        ),
        indent=st.sampled_from([None, 2]),
    ),
    st.sampled_from([b"ERROR: x\n", b"\n", b'{"logs":[]}\n', b'{\n  "logs": []\n}\n', b"}\n", "é".encode() + b"\n"]),
)


@given(st.lists(PARTS, max_size=12).map(b"".join), st.integers(1, 7))
def test_any_stream_cut_anywhere(stream: bytes, size: int) -> None:
    """Any mix of objects of both forms and of messages says the same in one piece as in pieces of a few bytes."""
    assert seen(fed(*(stream[at : at + size] for at in range(0, len(stream), size)))) == seen(fed(stream))


@given(st.lists(PARTS, max_size=12).map(b"".join), st.integers(1, 200))
def test_no_phase_is_skipped(stream: bytes, size: int) -> None:
    """Every phase up to the present one has a time, in their order, also where they came and went in one piece."""
    progress = fed(*(stream[at : at + size] for at in range(0, len(stream), size)))
    passed = [*Phase][: [*Phase].index(progress.phase) + 1]
    if progress.phase is not Phase.EXPORTING:  # it may have exported once already
        assert set(passed) == set(progress.reached)
    assert [progress.reached[phase] for phase in passed] == sorted(progress.reached[phase] for phase in passed)


@given(st.lists(PARTS, max_size=12))
def test_both_forms_say_the_same(parts: list[bytes]) -> None:
    """How a client lays its objects out changes nothing but their text."""
    objects = [json.loads(part) for part in parts if part.startswith(b"{")]
    compact = fed(*(json.dumps(item).encode() + b"\n" for item in objects))
    laid_out = fed(*(json.dumps(item, indent=2).encode() + b"\n" for item in objects))
    assert laid_out.reached == compact.reached
    assert [json.loads(item) for item in laid_out.last] == [json.loads(item) for item in compact.last]
    assert (laid_out.completed_vertexes, laid_out.vertex_error) == (compact.completed_vertexes, compact.vertex_error)


@pytest.mark.parametrize(
    ("item", "lines"),
    [
        (
            line(vertex("a"), vertex("b", completed=True), vertex("c", completed=True, cached=True)),
            ["a started", "b DONE", "c CACHED"],
        ),
        (line(vertex("a", completed=True, error="exit code: 1")), ["a ERROR exit code: 1"]),
        (line({"digest": "d", "name": "waits"}), []),
        (b'{"statuses":[{"id":"layers"},{"id":"naming","completed":"x"}]}', ["  layers", "  naming done"]),
        (b"no object", ["no object"]),
    ],
    ids=["vertexes", "error", "waiting", "statuses", "text"],
)
def test_told_to_a_person(item: bytes, lines: list[str]) -> None:
    """An object is told as a client's plain output would tell it."""
    assert plain_lines(item.decode().strip()) == lines


def test_steps_are_told_once() -> None:
    """Each step is told as it starts and as it completes, once each; a cached one does both at once."""
    progress = Progress(0.0)
    first = progress.feed(line(vertex("[1/2] RUN a"), vertex("[2/2] COPY b", completed=True)), 1.0)
    assert [(step.name, step.state) for step in first.steps] == [
        ("[1/2] RUN a", "started"),
        ("[2/2] COPY b", "started"),
        ("[2/2] COPY b", "completed"),
    ]
    assert progress.feed(line(vertex("[1/2] RUN a")), 2.0).steps == ()
    last = progress.feed(line(vertex("[1/2] RUN a", completed=True)), 3.0)
    assert [(step.name, step.state) for step in last.steps] == [("[1/2] RUN a", "completed")]
    assert progress.feed(line(vertex("[1/2] RUN a", completed=True)), 4.0).steps == ()


def test_a_step_that_is_merged() -> None:
    """A step that this client began, and that comes again as another build's vertex, cached, was merged into that."""
    progress = Progress(0.0)
    progress.feed(line(vertex("[2/3] COPY big /big")), 1.0)
    mine = progress.feed(line(vertex("[2/3] COPY big /big", completed=True, cached=True, digest="sha256:other")), 2.0)
    assert [step.state for step in mine.steps] == ["started", "completed", "cached", "merged"]
    assert [*progress.merged] == ["[2/3] COPY big /big"]


def test_a_step_that_is_only_cached() -> None:
    """A step that was never worked on here, or that is cached as the vertex it began as, was not merged."""
    progress = Progress(0.0)
    first = progress.feed(line(vertex("[1/3] RUN a", completed=True, cached=True)), 1.0)
    assert [step.state for step in first.steps] == ["started", "completed", "cached"]
    again = progress.feed(line(vertex("[1/3] RUN a", completed=True, cached=True, digest="sha256:other")), 2.0)
    assert [step.state for step in again.steps] == ["started", "completed", "cached"]
    progress.feed(line(vertex("[2/3] RUN b")), 3.0)
    same = progress.feed(line(vertex("[2/3] RUN b", completed=True, cached=True)), 4.0)
    assert [step.state for step in same.steps] == ["completed", "cached"]


def test_phases_that_pass_within_one_piece() -> None:
    """What was entered and left within one piece of the stream is told too, in order."""
    whole = line(vertex("[1/1] RUN a", completed=True)) + line(vertex("exporting to image", completed=True))
    assert Progress(0.0).feed(whole, 1.0).phases == (Phase.SOLVING, Phase.EXPORTING, Phase.EXPORTED)


def test_several_exports() -> None:
    """A client that exports several results has exported once all have completed, not when the first one has."""
    progress = Progress(0.0, exports=2)
    stream = [
        (vertex("[app] exporting to image", completed=True), Phase.EXPORTING),
        (vertex("[web] exporting to image"), Phase.EXPORTING),
        (vertex("[web] exporting to image", completed=True), Phase.EXPORTED),
    ]
    for second, (item, phase) in enumerate(stream, 1):
        progress.feed(line(item), float(second))
        assert progress.phase is phase


def test_results_are_counted_and_not_exports() -> None:
    """One result's image, its load and its cache are no stand-in for another result, which may still be built.

    The names, and their order, are those of bakes by buildx 0.13 and 0.29.
    """
    progress = Progress(0.0, exports=3)
    stream = [
        ("[app] exporting to docker image format", Phase.EXPORTING),
        ("[app] importing to docker", Phase.EXPORTING),
        ("[app] exporting cache to registry", Phase.EXPORTING),
        ("[worker] exporting to image", Phase.EXPORTING),
        ("[web web 2/2] RUN sleep 60", Phase.EXPORTING),
        ("[web] exporting to oci image format", Phase.EXPORTED),
        ("[web] exporting cache to client directory", Phase.EXPORTED),
    ]
    for second, (name, phase) in enumerate(stream, 1):
        progress.feed(line(vertex(name)), second)
        assert progress.phase is Phase.EXPORTING, "whatever goes on is a part of it"
        progress.feed(line(vertex(name, completed=True)), second + 0.5)
        assert progress.phase is phase


@pytest.mark.parametrize("name", ["exporting cache to registry", "[app] exporting cache to client directory"])
def test_a_cache_that_could_not_be_exported(name: str) -> None:
    """With ``ignore-error`` the build has exported once its image has; without it, a cache that fails fails the build.

    An image that fails is no matter of the cache.
    """
    failed = vertex(name, completed=True) | {"error": "connection refused"}
    for may_fail, phase in ((True, Phase.EXPORTED), (False, Phase.EXPORTING)):
        progress = Progress(0.0, cache_may_fail=may_fail)
        progress.feed(line(vertex("exporting to image", completed=True)), 1.0)
        progress.feed(line(vertex(name)), 2.0)
        assert progress.phase is Phase.EXPORTING
        progress.feed(line(failed), 3.0)
        assert progress.phase is phase
    image = Progress(0.0, cache_may_fail=True)
    image.feed(line(vertex("exporting to image", completed=True) | {"error": "no space left on device"}), 1.0)
    assert image.phase is Phase.EXPORTING


def test_vertexes() -> None:
    """Each vertex is kept with what was said of it at any time: its inputs, when it began, and how it ended."""
    progress = Progress(0.0)
    declared = {"digest": "sha256:a", "name": "a", "inputs": ["sha256:b"]}
    progress.feed(line(declared, {"digest": "sha256:b", "name": "b"}), 1.0)
    progress.feed(line({"digest": "sha256:a", "name": "a", "started": STARTED}), 2.0)
    progress.feed(line({"digest": "sha256:a", "name": "a", "started": STARTED, "completed": COMPLETED}), 3.0)
    progress.feed(line(vertex("b", completed=True, cached=True)), 4.0)
    assert [*progress.vertexes.values()] == [
        Vertex("sha256:a", "a", ("sha256:b",), STARTED, COMPLETED),
        Vertex("sha256:b", "b", (), STARTED, COMPLETED, cached=True),
    ]
