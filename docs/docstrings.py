"""Docstrings name a field or an argument at the start of a line, `labels: (N,) class index`: lists for the API page."""

import re

import griffe


class NamedLines(griffe.Extension):
    """Turns such lines into a list, of names that the object has."""

    def on_class(self, *, cls: griffe.Class, **_: object) -> None:
        _list_names(cls, set(cls.members))

    def on_function(self, *, func: griffe.Function, **_: object) -> None:
        _list_names(func, {parameter.name for parameter in func.parameters})


def _list_names(owner: griffe.Class | griffe.Function, known: set[str]) -> None:
    if owner.docstring is None:
        return
    lines, inside = [], False
    text = re.sub(rf"(?<=[.;]) (?=({'|'.join(known)}): )", "\n", _escaped(owner.docstring.value))
    for line in text.split("\n"):
        found = re.match(r"(?:- )?(\w+(?:, \w+)*): ", line)
        if found and known.intersection(found[1].split(", ")):
            names = ", ".join(f"`{name}`" for name in found[1].split(", "))
            lines += [*([] if inside else [""]), f"- {names}: {line[found.end() :]}"]
            inside = True
        else:
            inside = inside and bool(line.strip())
            lines.append(f"    {line.strip()}" if inside else line)
    owner.docstring.value = "\n".join(lines)


def _escaped(text: str) -> str:
    """Without what Markdown would take for tags of HTML."""
    parts = text.split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)
