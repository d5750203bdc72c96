"""Corefiles in tests: a body in a block, and what is wrong with a text."""

from collections.abc import Mapping

from nodecache.corefile import Corefile, CorefileError, ServerBlock, parse


def corefile(text: str, **more: object) -> Corefile:
    """Parse `text` without an environment or files."""
    return parse(text, "Corefile", **{"env": {}, **more})


def block(body: str) -> ServerBlock:
    """The one block of a Corefile with `body` in the block of example.org; its lines begin at 2."""
    return corefile(f"example.org {{\n{body}\n}}\n").blocks[0]


def errors(text: str, **more: object) -> list[str]:
    """Every error in `text`, as the operator sees it; none where it is sound."""
    try:
        corefile(text, **more)
    except CorefileError as error:
        return [str(each) for each in error.all]
    return []


def body_errors(body: str) -> list[str]:
    """Every error in the body of a block."""
    return errors(f"example.org {{\n{body}\n}}\n")


class Disk:
    """Files in a dictionary, by path; `*` in a pattern matches within a folder."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = dict(files)

    def read(self, path: str) -> str:
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files[path]

    def glob(self, pattern: str) -> list[str]:
        before, _, after = pattern.partition("*")
        return [path for path in self.files if path.startswith(before) and path.endswith(after)]
