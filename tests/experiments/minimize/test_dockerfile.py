"""A Dockerfile's instructions: what is left out, joined and held, and that the rest stays as it was."""

from harness.experiments.minimize.dockerfile import Dockerfile

DIAMOND = """\
# syntax of no special kind
FROM scratch AS base
COPY busybox /bin/busybox

FROM base AS a
RUN echo aaa > /a
FROM base
ARG N
COPY --from=a /a /a
RUN echo "${N}" > /n && \\
    true
"""


def texts(dockerfile: Dockerfile) -> list[str]:
    """Return its instructions."""
    return [each.text for each in dockerfile.instructions]


def test_read() -> None:
    """Instructions have their stage, comments are left out, and a continued line stays one instruction."""
    read = Dockerfile.parse(DIAMOND)
    assert [each.stage for each in read.instructions] == [0, 0, 1, 1, 2, 2, 2, 2]
    assert read.instructions[-1].text == 'RUN echo "${N}" > /n && \\\n    true'
    assert texts(Dockerfile.parse(str(read))) == texts(read)


def test_a_stage_goes_with_what_copies_from_it() -> None:
    """What a stage takes along is all that would not build without it."""
    read = Dockerfile.parse(DIAMOND)
    left = read.without(read.of_stage(1))
    assert texts(left)[:4] == ["FROM scratch AS base", "COPY busybox /bin/busybox", "FROM base", "ARG N"]


def test_stages_are_joined_where_one_alone_uses_the_other() -> None:
    """A base that two stages build on stays; with one left, it is put into that."""
    read = Dockerfile.parse(DIAMOND)
    assert [*read.joined()] == []
    (joined,) = read.without(read.of_stage(1)).joined()
    assert texts(joined)[:3] == ["FROM scratch", "COPY busybox /bin/busybox", "ARG N"]
    assert len(joined.stages) == 1


def test_a_run_is_held_and_shortened() -> None:
    """A held step waits first; each part of a RUN can go alone, its pause too; exec forms are left alone."""
    read = Dockerfile.parse('FROM base\nRUN echo 1 && echo 2\nRUN ["true"]\n')
    (position,) = read.holdable()
    held = read.held(position, 8)
    assert texts(held)[1] == "RUN sleep 8 && echo 1 && echo 2"
    assert [texts(each)[1] for each in held.shorter_runs()] == [
        "RUN sleep 8 && echo 1",
        "RUN sleep 8 && echo 2",
        "RUN echo 1 && echo 2",
    ]
