"""Types of the docstrings as they are written, and of every argument its own default; griffe reads `array-like, shape (n, m)` as a sum."""

import re

import griffe

HEAD = re.compile(r"^(?P<names>\*{0,2}\w+(?:, *\*{0,2}\w+)*) : (?P<type>.+)$", re.MULTILINE)


class AsWritten(griffe.Extension):
    """Mends the sections of parameters, returns and attributes of every docstring."""

    def on_package(self, *, pkg, **_):
        """Once all is loaded."""
        self._walk(pkg, set())

    def _walk(self, thing, seen):
        if thing.is_alias or thing.path in seen:
            return
        seen.add(thing.path)
        if thing.docstring is not None:
            self._mend(thing)
        for member in thing.members.values():
            self._walk(member, seen)

    def _mend(self, thing):
        docstring = thing.docstring
        sections = docstring.parse("numpy")
        written = {}
        for head in HEAD.finditer(docstring.value):
            for name in re.split(r", *", head["names"]):
                written[name.lstrip("*")] = head["type"].removesuffix(", optional").strip()
        known = self._parameters(thing)
        for section in sections:
            if section.kind is griffe.DocstringSectionKind.parameters:
                for parameter in section.value:
                    name = parameter.name.lstrip("*")
                    if name in written:
                        parameter.annotation = written[name]
                    if name in known:
                        parameter.value = known[name].default
                        if name not in written:
                            parameter.annotation = known[name].annotation
        docstring.__dict__["parsed"] = sections

    @staticmethod
    def _parameters(thing):
        function = thing.members.get("__init__") if thing.is_class else thing
        if function is None or not getattr(function, "is_function", False):
            return {p.name: p for p in thing.parameters} if thing.is_class else {}
        return {p.name: p for p in function.parameters}
