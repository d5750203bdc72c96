"""Puts an agent's answer to `explain` into words."""

from collections.abc import Iterator
from typing import Any

from nodecache.command.control_client import printable

from .reply_text import rcode_name, records_of

Explanation = dict[str, Any]
_OUTCOMES = {
    "hit": "answered from the cache",
    "stale": "a stale answer at hand",
    "failure": "fails",
    "refused": "REFUSED",
    "directive": "answered by the block itself",
    "upstream": "asks upstream",
}


def as_text(told: Explanation) -> str:
    """Several lines: a heading, and one line for each property."""
    lines = [f"{told['name']} {told['type']}: {_outcome(told)}"]
    lines += [f"  {word:<11} {text}" for word, text in _properties(told)]
    return printable_lines(lines)


def as_line(told: Explanation) -> str:
    """One line: a step along a search list."""
    text = f"{told['step']}/{told['steps']} {told['name']} {told['type']}: {_outcome(told)}"
    if (answer := told.get("answer")) is not None:
        text += f"; {_answer(answer)}"
    if told["ends_search"]:
        text += ": the search ends here"
    elif told["step"] == told["steps"]:
        text += ": the last one"
    return printable_lines([text])


def printable_lines(lines: list[str]) -> str:
    """Lines without control characters for terminals."""
    return "\n".join(map(printable, lines))


def _outcome(told: Explanation) -> str:
    words: str = _OUTCOMES.get(told["outcome"], str(told["outcome"]))
    if (cache := told.get("cache")) is not None:
        words += f" ({cache['kind']}, {cache['rcode']})"
    elif (failure := told.get("failure")) is not None:
        words += f" ({failure['rcode']})"
    return f"{words}: {told['because']}"


def _properties(told: Explanation) -> Iterator[tuple[str, str]]:
    if (block := told.get("block")) is not None:
        where = f"{block['file']}:{block['line']}, at {told['server']}"
        yield "block", f"{' '.join(block['zones'])} ({where})"
        yield "directives", " ".join(told["directives"])
    if names := told.get("answered_before_cache_by"):
        yield "above", f"{' '.join(names)} may answer before the cache is asked"
    if (cache := told.get("cache")) is not None:
        yield from _cache(cache)
    if (failure := told.get("failure")) is not None:
        yield "failed", f"{failure['times']} in a row; asked again in {failure['seconds_left']} s"
        yield from _errors(failure["errors"])
    if told.get("is_under_way"):
        yield "in flight", "the same question is under way"
    if names := told.get("may_be_changed_by"):
        yield "below", f"{' '.join(names)} may answer it or ask something else"
    if (upstream := told.get("upstream")) is not None:
        yield from _upstream(upstream)
    if (answer := told.get("answer")) is not None:
        yield "answer", _answer(answer)
        for record in records_of(answer["reply"]):
            yield "", record


def _cache(cache: Explanation) -> Iterator[tuple[str, str]]:
    text = f"kept {cache['kept_seconds']} s ago for {cache['ttl']} s"
    if (left := cache["seconds_left"]) > 0:
        text += f", {left} left"
    text += f"; of use when stale for {cache['stale_seconds_left']} s from now"
    yield "cache", text
    if (prefetch := cache.get("prefetch")) is not None:
        yield (
            "prefetch",
            f"{prefetch['hits']} hits of {prefetch['of']}; due in {prefetch['due_in_seconds']} s",
        )
    if cache["is_refreshing"]:
        yield "refresh", "under way"
    elif times := cache.get("failed_refreshes"):
        again = cache["refreshed_again_in_seconds"]
        yield "refresh", f"failed {times} times; tried again in {again} s"
    yield from _errors(cache["errors"])


def _errors(errors: list[Explanation]) -> Iterator[tuple[str, str]]:
    for error in errors:
        yield "error", f"EDE {error['code']} {error['text']}".rstrip()


def _upstream(upstream: Explanation) -> Iterator[tuple[str, str]]:
    yield "forward", f"{upstream['from']}, policy {upstream['policy']}"
    for each in upstream["upstreams"]:
        kind = " a pod of kube-dns," if each["is_pod"] else ""
        mark = "→" if each["to"] in upstream["asked"] else " "
        state = f"{each['protocol']}, {each['standing']}, {each['in_flight']} in flight"
        if (pace := each["milliseconds"]) is not None:
            state += f", 95% within {pace} ms"
        yield "", f"{mark} {each['to']}:{kind} {state}"


def _answer(answer: Explanation) -> str:
    if not answer["reply"]:
        return "none" if answer["rcode"] is None else "REFUSED"
    return f"{rcode_name(answer['rcode'])} in {answer['milliseconds']} ms from {answer['from']}"
