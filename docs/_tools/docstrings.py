"""The reference as it is meant: types as they are written, every argument's own default, no private name, links to what has a place.

griffe reads `array-like, shape (n, m)` as a sum, and Markdown takes a word in angle brackets for a tag.
"""

import re
from pathlib import Path

import griffe

DOCS = Path(__file__).resolve().parents[1]
Kind = griffe.DocstringSectionKind
# What stands where an attribute is bound says nothing to a reader.
LABELS = {"class-attribute", "instance-attribute", "module-attribute"}
PARAMETERS = {Kind.parameters: "Parameters", Kind.other_parameters: "Other Parameters", Kind.attributes: "Attributes"}
RESULTS = {Kind.returns: "Returns", Kind.yields: "Yields"}
CAUSES = {Kind.raises: "Raises", Kind.warns: "Warns"}
# `::: gwrsa.align` on a page of the reference.
DIRECTIVE = re.compile(r"^::: (\S+)$", re.MULTILINE)
CODE = re.compile(r"(`{1,2}[^`]+`{1,2})")
PAGE = re.compile(r"\bdocs/([\w-]+)\.md\b")


class AsWritten(griffe.Extension):
    """Mends every docstring, and the signatures of classes; runs after griffe's own extension for dataclasses."""

    def __init__(self):
        pages = (DOCS / "api").glob("*.md")
        self._shown = {name for page in pages for name in DIRECTIVE.findall(page.read_text(encoding="utf-8"))}

    def on_package(self, *, pkg, **_):
        """Once all is loaded."""
        self._walk(pkg, set())

    def _walk(self, thing, seen):
        if thing.is_alias or thing.path in seen:
            return
        seen.add(thing.path)
        thing.labels -= LABELS
        if thing.is_class:
            self._mend_class(thing)
        if thing.docstring is not None:
            self._mend(thing)
        for member in thing.members.values():
            self._walk(member, seen)

    @staticmethod
    def _mend_class(thing):
        """Fields of a dataclass: private ones are no arguments for readers, and `field(...)` is no value."""
        made = thing.members.get("__init__")
        if made is None or not made.is_function:
            return
        made.parameters = griffe.Parameters(*(p for p in made.parameters if not p.name.startswith("_")))
        defaults = {p.name: p.default for p in made.parameters}
        for name, member in thing.members.items():
            if member.is_attribute and str(member.value).startswith("field("):
                member.value = defaults.get(name)

    def _mend(self, thing):
        sections = thing.docstring.parse("numpy")
        known = _parameters(thing)
        for section in sections:
            kind = section.kind
            if kind in PARAMETERS:
                written = _written(thing, PARAMETERS[kind])
                for item in section.value:
                    name = item.name.lstrip("*")
                    head = written.get(name, "")
                    if kind is not Kind.attributes and name in known:
                        item.value = known[name].default
                        item.annotation = item.annotation if head else known[name].annotation
                    item.annotation = _type(head, item.annotation)
            elif kind in RESULTS:
                for head, item in zip(_heads(thing, RESULTS[kind]), section.value, strict=True):
                    item.annotation = _type(head.removeprefix(f"{item.name} : "), item.annotation)
            elif kind in CAUSES:
                for head, item in zip(_heads(thing, CAUSES[kind]), section.value, strict=True):
                    item.annotation = _type(head, item.annotation)
            self._mend_prose(section, thing)
        thing.docstring.__dict__["parsed"] = sections

    def _mend_prose(self, section, thing):
        if section.kind is Kind.text:
            section.value = self._prose(section.value, thing)
        elif section.kind is Kind.admonition:
            section.value.contents = self._prose(section.value.contents, thing)
        elif section.kind in {**PARAMETERS, **RESULTS, **CAUSES}:
            for item in section.value:
                item.description = self._prose(item.description, thing)

    def _prose(self, text, thing):
        """With links; what is in backticks is code, all else is text."""
        parts = CODE.split(text)
        parts[::2] = [PAGE.sub(_page, part.replace("<", "&lt;")) for part in parts[::2]]
        parts[1::2] = [self._linked(part, thing) for part in parts[1::2]]
        return "".join(parts)

    def _linked(self, code, thing):
        """Code that names something of the reference: a link, unless it is this very thing, or an argument or a member of it."""
        name = code.strip("`")
        family = thing if thing.is_class else thing.parent
        own = family.members if family is not None and family.is_class else {}
        if name == thing.name or name in own or name in _parameters(thing):
            return code
        within = thing.module.path.split(".")
        places = [name, *(f"{'.'.join(within[:depth])}.{name}" for depth in range(len(within), 0, -1))]
        path = next((place for place in places if self._has_a_place(place, thing.package)), None)
        return f"[{code}][{path}]" if path else code

    def _has_a_place(self, path, package):
        """Whether a name is on a page of the reference, by itself or as a member of what is."""
        above, _, name = path.rpartition(".")
        if path in self._shown or above not in self._shown or name.startswith("_"):
            return path in self._shown
        member = package[above.split(".", 1)[1]].members.get(name)
        return member is not None and member.has_docstring


def _parameters(thing):
    function = thing.members.get("__init__") if thing.is_class else thing
    return {p.name: p for p in function.parameters} if function is not None and function.is_function else {}


def _heads(thing, title):
    """The lines of a section of a docstring that begin an item, in order."""
    lines = thing.docstring.value.splitlines()
    begins = [i for i, line in enumerate(lines[:-1]) if line == title and set(lines[i + 1]) == {"-"}]
    heads = []
    for i in range(begins[0] + 2, len(lines)) if begins else ():
        if i + 1 < len(lines) and lines[i + 1] and set(lines[i + 1]) == {"-"}:
            break
        if lines[i] and not lines[i].startswith(" "):
            heads.append(lines[i])
    return heads


def _written(thing, title):
    """Type of each argument; several may share one line."""
    found = {}
    for head in _heads(thing, title):
        names, _, kind = head.partition(" : ")
        found |= {name.strip().lstrip("*"): kind for name in names.split(",")}
    return found


def _type(written, parsed):
    """As it is written; a name alone stays what griffe made of it, which can be a link."""
    written = written.removesuffix(", optional").strip()
    return parsed if not written or written.isidentifier() else written


def _page(match):
    """A link to a page of the site, seen from the reference."""
    page = DOCS / f"{match[1]}.md"
    title = page.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
    return f"[{title}](../{page.name})"
