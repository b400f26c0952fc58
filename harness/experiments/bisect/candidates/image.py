"""``image:REPOSITORY:TAG,TAG…``: images by tag, in the user's order."""

from harness.experiments.bisect.candidates.base import BadRange, Chain, OneCandidate, Options, Range, SameEnds, chain


class Tags:
    """Takes tags of one repository, listed oldest first."""

    async def find(self, argument: str, options: Options) -> Range:
        """Return the range of tags; the registry is not asked yet."""
        del options
        text = f"image:{argument}"
        repository, _, listed = argument.rpartition(":")
        tags = [tag.strip() for tag in listed.split(",")]
        if not repository or not all(tags) or "/" in listed:
            raise BadRange(text, "name a repository and its tags, oldest first, as in moby/buildkit:v0.24.0,v0.25.0")
        if twice := [tag for tag in tags if tags.count(tag) > 1]:
            raise SameEnds(text, twice[0], twice[0])
        if len(tags) < 2:
            raise OneCandidate(text, tags)
        return Chain(chain(tags), tuple(f"image:{repository}:{tag}" for tag in tags))
