"""`python -m bench.evidence`: what is missing or wrong on its command line is one line and exit code 2."""

from __future__ import annotations

import pytest

from bench.evidence import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name law files to judge, or with --found the runs to mine new laws from"),
        (["--found", "nobody-ran-this"], "--found nobody-ran-this: no such run in laws/evidence"),
        (["--found", "any", "--on", "("], "argument --on: no regular expression"),
    ],
    ids=["nothing to do", "no such run", "no expression"],
)
def test_a_command_line_that_cannot_be_followed_says_why(arguments, said, capsys):
    """Each once ended in a traceback, or silently in no laws."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
