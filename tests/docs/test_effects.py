"""The list of effects that people read is the table that the code goes by."""

from __future__ import annotations

from pathlib import Path

from spak.kg.law.effects import EFFECTS, TIE_LIMIT, TIME_NOISE

FORMATS = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()


def test_the_table_of_effects_is_the_one_table():
    section = FORMATS.split("## Effects\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{name}` | {effect.unit} | {', '.join(effect.kinds)} | {effect.needs} | {effect.what} |"
        for name, effect in EFFECTS.items()
    ]
    assert f"below {1 + TIME_NOISE:g}, and tie within {TIE_LIMIT:.0%}".replace("%", " %") in section
