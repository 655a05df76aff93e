"""Read a YAML file safely: bounded, no aliases (a small file could blow up), no repeated keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from nas.common.errors import UserError, read_text, shown

MAX_BYTES = 64 << 10  # PyYAML takes seconds and a thousand times the memory for a megabyte


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(
                None, None, "aliases (*name) are not allowed", mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {shown(key)} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The value in a YAML file of at most 64 KiB. UserError names file and line."""
    text = read_text(path, MAX_BYTES)
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: not valid YAML: {error.problem}") from None
    except (
        yaml.YAMLError,
        RecursionError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
    ) as error:  # PyYAML's own slips: `!!int ""`, `!!bool maybe`, `? []`
        raise UserError(f"{path}: not valid YAML: {error}") from None  # fmt: skip
