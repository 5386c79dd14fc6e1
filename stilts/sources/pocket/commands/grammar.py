"""Sentence templates of `home-assistant-intents` as resolved trees.

`hassil` parses the templates. Its trees refer to rules and lists by name, and a user's home fills some of the lists.
Here a tree is resolved once: rules are inserted, lists are joined with their values, and branches that give no sentence
(a list without values, a recursive rule) are removed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import hassil.expression as hx
from hassil.parse_expression import parse_sentence

from stilts.sources.pocket.commands.trees import SHARES, AnyOrder, Node, OneOf, Row, Signature, Slot, Text, Value
from stilts.sources.pocket.commands.values import Forms, hash_stably

_WHITE = re.compile(r"\s+")


@dataclass(frozen=True, eq=False)
class Template:
    """A sentence template with the properties of its block.

    Attributes
    ----------
    id : str
        Intent and a short hash of the text.
    text : str
        The authors' text.
    intent : str
        Name of the intent, such as "HassTurnOn".
    fixed : mapping
        Slots that the intent sets without a word for them, such as {"domain": "light"}.
    aspect : str
        The kind of the requested answer ("any", "all", "which", "how_many", "one", ...); "" if the intent implies it.
    kinds : frozenset of str
        Valid kinds of devices for a `name`; empty for any.
    here : bool
        Whether the sentence refers to the room in which it is spoken.
    tree : Node
        The resolved tree.
    """

    id: str
    text: str
    intent: str
    fixed: Mapping[str, str]
    aspect: str
    kinds: frozenset[str]
    here: bool
    tree: Node

    @cached_property
    def signatures(self) -> frozenset[Signature]:
        """All sets of slots that a sentence of this template may fill."""
        return self.tree.signatures()

    @cached_property
    def action(self) -> str:
        """The meaning without values: templates of one action with equal values have the same meaning."""
        fixed = "".join(f" {name}:{value}" for name, value in sorted(self.fixed.items()))
        asked, here = f" asks:{self.aspect}" if self.aspect else "", " here:yes" if self.here else ""
        return f"{self.intent}{asked}{fixed}{here}"


@dataclass
class Resolver:
    """Resolves `hassil` trees of one language.

    Parameters
    ----------
    rules : mapping of str to str
        Texts of the expansion rules.
    lists : mapping of str to mapping
        Slot lists in the data's format ("values", "range" or "wildcard").
    forms : mapping of str to Forms
        Values of the lists that a user's home fills: "area", "floor", "name".
    """

    rules: Mapping[str, str]
    lists: Mapping[str, Mapping[str, Any]]
    forms: Mapping[str, Forms]
    _rules: dict[str, Node | None] = field(default_factory=dict)
    _values: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def resolve(self, text: str) -> Node | None:
        """Return the tree of a template's text, or None if it gives no sentence.

        Raises
        ------
        hassil.parse_expression.ParseExpressionError
            If the text is not a template.
        """
        return self._node(parse_sentence(text).expression)

    def _node(self, expression: hx.Expression) -> Node | None:
        handlers: Mapping[type, Callable[[Any], Node | None]] = {
            hx.TextChunk: lambda chunk: Text(_WHITE.sub(" ", chunk.original_text)),
            hx.RuleReference: lambda rule: self._rule(rule.rule_name),
            hx.ListReference: self._slot,
            hx.Alternative: self._one_of,
            hx.Permutation: lambda group: self._all(group, AnyOrder),
        }
        return handlers.get(type(expression), lambda group: self._all(group, Row))(expression)

    def _one_of(self, group: hx.Alternative) -> Node | None:
        parts = tuple(part for part in map(self._node, group.items) if part is not None)
        return OneOf(parts, group.is_optional) if len(parts) > 1 else next(iter(parts), None)

    def _all(self, group: hx.Group, kind: type[Row] | type[AnyOrder]) -> Node | None:
        parts = tuple(map(self._node, group.items))
        return None if None in parts else parts[0] if len(parts) == 1 else kind(parts)

    def _rule(self, name: str) -> Node | None:
        if name in self._open:
            return None
        if name not in self._rules:
            self._open.append(name)
            self._rules[name] = self.resolve(self.rules[name]) if name in self.rules else None
            self._open.pop()
        return self._rules[name]

    def _slot(self, reference: hx.ListReference) -> Node | None:
        name, slot = reference.list_name, reference.slot_name
        if slot in self.forms and name != slot:
            return None  # such lists have inflected forms without a normalised value shared with other languages
        if reference.is_inline_range:
            start, stop, step = reference.get_inline_range()
            values = _numbers({"from": start, "to": stop, "step": step}, slot)
        else:
            values = self._list(name, slot)
        return Slot(slot, values) if values else None

    def _list(self, name: str, slot: str) -> tuple[Value, ...]:
        if name in self.forms:
            return self.forms[name].values
        if name not in self._values:
            about = self.lists.get(name, {})
            self._values[name] = _numbers(about["range"], slot) if "range" in about else tuple(self._words(about))
        return self._values[name]

    def _words(self, about: Mapping[str, Any]) -> Iterator[Value]:
        for entry in about.get("values", ()):
            entry = {"in": entry, "out": entry} if isinstance(entry, str) else entry
            said, meant = self.resolve(str(entry["in"])), entry.get("out")
            if said is not None and meant is not None:
                key = str(meant) if isinstance(meant, str) else f"word:{meant}"
                yield Value(key.replace(" ", "_"), said)


_PLAUSIBLE = {"temperature": (14, 29), "hours": (2, 23), "minutes": (2, 59), "seconds": (2, 59)}
"""Bounds of plausible values, since the data's own ranges are far wider; 1 would need other words next to it."""


def _numbers(about: Mapping[str, Any], slot: str) -> tuple[Value, ...]:
    first, last, step = int(about["from"]), int(about["to"]), int(about.get("step", 1))
    low, high = _PLAUSIBLE.get(slot.removeprefix("start_"), (2, last)) if step == 1 else (first, last)
    sign = "-" if float(about.get("multiplier") or 1) < 0 else ""
    return tuple(Value(f"{sign}{number}", Text(str(number)), share=hash_stably(str(number)) % SHARES)
                 for number in range(first, last + 1, step) if low <= number <= high)


def load(path: Path, forms: Mapping[str, Forms]) -> tuple[Template, ...]:
    """Read the templates of one language.

    Parameters
    ----------
    path : Path
        JSON file of `home-assistant-intents`.
    forms : mapping of str to Forms
        Values of "area", "floor" and "name" in that language.

    Returns
    -------
    tuple of Template
        The templates that give sentences, in the file's order.

    Raises
    ------
    hassil.parse_expression.ParseExpressionError
        If a template cannot be parsed.
    """
    data = json.loads(path.read_text(encoding="utf-8"))
    resolver = Resolver(data.get("expansion_rules", {}), data.get("lists", {}), forms)
    return tuple(template for intent, about in data["intents"].items() for block in about["data"]
                 for template in _templates(intent, block, resolver))


_ASKS = ("HassGetState", "HassRespond")
"""Intents whose blocks differ in meaning only by the requested answer."""


def _templates(intent: str, block: Mapping[str, Any], resolver: Resolver) -> Iterator[Template]:
    own = resolver
    if block.get("expansion_rules") or block.get("lists"):
        own = Resolver({**resolver.rules, **block.get("expansion_rules", {})},
                       {**resolver.lists, **block.get("lists", {})}, resolver.forms)
    needs = block.get("requires_context", {})
    kinds, fixed = _as_set(needs.get("domain")), {name: str(value) for name, value in block.get("slots", {}).items()}
    aspect = block.get("response", "") if intent in _ASKS else ""
    for text in block["sentences"]:
        tree = own.resolve(text)
        if tree is not None:
            name = f"{intent}-{hash_stably(text):012x}"
            yield Template(name, text, intent, fixed, aspect, kinds, "area" in needs, tree)


def _as_set(value: str | Sequence[str] | None) -> frozenset[str]:
    return frozenset([value] if isinstance(value, str) else value or ())
