"""Writes ``docs/reference.md`` from signatures and docstrings: ``python docs/reference.py``."""  # noqa: INP001 - a script

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

PAGE = Path(__file__).with_name("reference.md")

# (title, module, names). A name that is left out here is no public name.
CONTENTS: list[tuple[str, str, list[str]]] = [
    ("Blocks", "prefect_deepset.blocks", ["DeepsetCredentials", "LogArchive", "AlertRules"]),
    ("Flows", "prefect_deepset.flows", ["archive_daily_logs", "backfill_logs", "watch_errors", "verify_archive",
                                        "fill_formats", "try_alert_rules"]),
    ("Tasks", "prefect_deepset.tasks", ["list_pipelines", "fetch_logs", "download_logs_csv", "count_logs", "archive_day",
                                        "verify_day", "read_archived_logs", "send_alert"]),
    ("Client", "prefect_deepset.api.client", ["DeepsetClient"]),
    ("Client models", "prefect_deepset.api.models", ["PipelineLog", "Pipeline", "Workspace", "LogCounts"]),
    ("Sources", "prefect_deepset.api.sources", ["LogSource"]),
    ("Settings from the environment", "prefect_deepset.api.environment", ["settings_from_environment", "ClientSettings"]),
    ("Probe", "prefect_deepset.api.probe", ["probe", "ProbeReport", "Answer"]),
    ("Archiving without Prefect", "prefect_deepset.archive.day", ["archive_day", "ArchiveOptions", "DayResult", "Progress"]),
    ("What is due", "prefect_deepset.archive.plan", ["days_due"]),
    ("Manifests", "prefect_deepset.archive.chain", ["latest", "StoredManifest"]),
    ("Reading the archive back", "prefect_deepset.archive.read_back", ["read_rows", "as_models", "as_arrow", "as_pandas"]),
    ("Verification", "prefect_deepset.archive.verify", ["verify_archive", "verify_day", "ArchiveVerdict", "DayVerdict",
                                                                "Finding"]),
    ("Redaction", "prefect_deepset.archive.redaction", ["RedactionPolicy"]),
    ("Rules of alerts", "prefect_deepset.alerts.rules", ["ErrorCount", "ErrorRatio", "NewException", "ZeroRows"]),
    ("Payloads of events", "prefect_deepset.alerts.events", ["ArchivedPayload", "ThresholdPayload", "IncompletePayload",
                                                             "Missing"]),
    ("A platform for tests", "prefect_deepset.testing", ["FakeDeepset", "LoggedRequest", "TruthRow", "Behaviour", "Fault",
                                                         "Faults", "HeavyRange", "RateLimit", "Request"]),
    ("Rows for tests", "prefect_deepset.testing", ["even_day", "skewed_day", "tied_day", "bursts", "dense", "ties", "nasty",
                                                   "row", "GeneratedRows", "GivenRows", "RowSource"]),
]
ERRORS = ["prefect_deepset.api.errors", "prefect_deepset.archive.errors", "prefect_deepset.alerts.errors"]

_SECTION = re.compile(r"^(Args|Raises|Returns|Yields|Example):+$")
_ATTRIBUTE = re.compile(r'^    (\w+): [^\n]+(?:\n        [^\n]+)*?\n    """(.+?)"""', re.MULTILINE | re.DOTALL)
_WIDTH = 110


def render() -> str:
    """The whole page."""
    lines = ["# Reference", "", "Generated from docstrings by `docs/reference.py`. What is not listed is no public name.", ""]
    for title, module_name, names in CONTENTS:
        lines += [f"## {title}", "", f"`{module_name}`", ""]
        for name in names:
            lines += _describe(name, getattr(import_module(module_name), name))
    lines += ["## Errors", ""]
    for module_name in ERRORS:
        lines += [f"`{module_name}`", "", *_prose(inspect.getdoc(import_module(module_name)) or ""), ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _describe(name: str, thing: Any) -> Iterator[str]:
    target = getattr(thing, "fn", thing)  # a flow or a task
    if not inspect.isclass(target):
        yield from _function(f"### {name}", name, target)
        return
    yield from [f"### {name}", ""]
    made = "__init__" in vars(target) and not issubclass(target, BaseModel) and not getattr(target, "_is_protocol", False)
    if made:
        yield from _signature(name, target.__init__)
    yield from _prose(inspect.getdoc(target) or "")
    yield ""
    yield from _fields(target)
    for member, value in vars(target).items():
        if member.startswith("_") or member == "model_config":
            continue
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if inspect.isfunction(function) and inspect.getdoc(function) and function.__module__.startswith("prefect_deepset"):
            if isinstance(value, property):
                yield from [f"#### {name}.{member}", "", *_prose(inspect.getdoc(function) or ""), ""]
            else:
                yield from _function(f"#### {name}.{member}", member, function)


def _function(heading: str, name: str, function: Callable[..., Any]) -> Iterator[str]:
    yield from [heading, ""]
    yield from _signature(name, function)
    yield from _prose(inspect.getdoc(function) or "")
    yield ""


def _signature(name: str, function: Callable[..., Any]) -> Iterator[str]:
    signature = inspect.signature(function)
    shown = [_parameter(parameter) for parameter in signature.parameters.values() if parameter.name not in {"self", "cls"}]
    stars = [n for n, p in enumerate(signature.parameters.values()) if p.kind is p.KEYWORD_ONLY]
    if stars and not any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values()):
        offset = len(signature.parameters) - len(shown)
        shown.insert(stars[0] - offset, "*")
    gives = signature.return_annotation
    arrow = "" if gives in {signature.empty, "None", None} else f" -> {_type(gives)}"
    line = f"{name}({', '.join(shown)}){arrow}"
    if len(line) > _WIDTH:
        line = "\n".join([f"{name}(", *(f"    {parameter}," for parameter in shown), f"){arrow}"])
    yield from ["```py", line, "```", ""]


def _parameter(parameter: inspect.Parameter) -> str:
    prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    annotation = "" if parameter.annotation is parameter.empty else f": {_type(parameter.annotation)}"
    default = "" if parameter.default is parameter.empty else f" = {_value(parameter.default)}"
    return f"{prefix}{parameter.name}{annotation}{default}"


def _type(annotation: Any) -> str:
    annotation = getattr(annotation, "__forward_arg__", annotation)  # what a NamedTuple makes of an annotation
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _value(value: Any) -> str:
    if hasattr(value, "_fields"):  # a NamedTuple
        return f"{type(value).__name__}()"
    if value is None or isinstance(value, (bool, int, float, str, tuple)):
        return repr(value)
    return getattr(value, "__name__", "...")


def _fields(target: type) -> Iterator[str]:
    """A model's fields, or the annotated attributes of other classes that are described below them."""
    described = _attribute_docs(target)
    annotations = {name: kind for name, kind in vars(target).get("__annotations__", {}).items() if not name.startswith("_")}
    if issubclass(target, BaseModel):
        for name, field in target.model_fields.items():
            text = field.description or described.get(name, "")
            yield _field(name, annotations.get(name, field.annotation), _default(field), text)
    else:
        defaults = getattr(target, "_field_defaults", {})  # of a NamedTuple
        for name, kind in annotations.items():
            default = f", default `{_value(defaults[name])}`" if name in defaults else ""
            yield _field(name, kind, default, described.get(name, ""))
    yield ""


def _field(name: str, kind: Any, default: str, text: str) -> str:
    return f"- `{name}`: `{_type(kind)}`{default}{f'. {_inline(text)}' if text else ''}"


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return ""
    if field.default is PydanticUndefined:
        return ", required"
    value = sorted(field.default) if isinstance(field.default, frozenset) else field.default
    shown = json.dumps(value) if isinstance(value, (str, list)) else value
    return f", default `{shown}`"


def _attribute_docs(target: type) -> dict[str, str]:
    """The strings that stand below the attributes of a class and of those it comes from."""
    described: dict[str, str] = {}
    for base in reversed(target.__mro__):
        if base.__module__.startswith("prefect_deepset"):
            found = _ATTRIBUTE.finditer(inspect.getsource(base))
            described |= {one[1]: " ".join(one[2].split()) for one in found}
    return described


def _prose(text: str) -> Iterator[str]:
    """A docstring in Markdown: sections become lists."""
    section = ""
    literal = fenced = False
    for line in text.splitlines():
        if fenced or line.strip().startswith("```"):
            opens = not fenced and line.strip() != "```"
            fenced = opens or (fenced and line.strip() != "```")
            yield "```py" if opens else line.removeprefix("    ")
            continue
        if found := _SECTION.match(line.strip()):
            section, literal = found[1], False
            yield from ["", f"**{section}**", ""]
            if section == "Example":
                literal = line.strip().endswith("::")
            continue
        if line.rstrip().endswith("::") or literal:
            if not literal:
                yield from [_inline(line.rstrip()[:-2]).rstrip() + (":" if line.strip() != "::" else ""), ""]
                literal = True
                continue
            if line and not line.startswith(" "):
                literal = False
            else:
                yield f"    {line.removeprefix('    ')}" if line else ""
                continue
        if section in {"Args", "Raises"} and line.startswith("    ") and not line.startswith("     "):
            name, colon, rest = line.strip().partition(":")
            yield f"- `{name}`:{_inline(rest)}" if colon and not name.startswith("*") else f"- {_inline(line.strip())}"
        else:
            yield ("  " if section in {"Args", "Raises"} and line.startswith("     ") else "") + _inline(line.strip())


def _inline(text: str) -> str:
    return text.replace("``", "`")


def main(arguments: Iterable[str]) -> int:
    """Writes the page, or with ``--check`` only says whether it is what would be written."""
    page = render()
    if "--check" in arguments:
        return 0 if PAGE.read_text() == page else 1
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
