"""Stands in for `gh api`: answers from the JSON file named by FAKE_GH, and records every comment and status written there."""

from __future__ import annotations

import json
import os
import re
import sys
from itertools import pairwise
from pathlib import Path


def main() -> int:
    """Answer one call; an endpoint or filter that the scripts do not use ends in an error."""
    state_file = Path(os.environ["FAKE_GH"])
    state = json.loads(state_file.read_text())
    words = sys.argv[1:]
    assert words[0] == "api"
    options = dict(pairwise(words))
    fields = dict(pair[1].split("=", 1) for pair in pairwise(words) if pair[0] == "--raw-field")
    path = next(word for word in words[1:] if word.startswith("repos/"))
    method = options.get("--method", "GET")
    assert os.environ["GH_TOKEN"] == ("reads" if method == "GET" and path == "repos/o/r/pulls" else "writes")
    state["calls"].append([method, path])
    if method == "GET" and path == "repos/o/r/pulls":
        [sha] = re.fullmatch(r'\.\[\] \| select\(\.head\.sha == "(\w+)"\) \| \.number', options["--jq"]).groups()
        for number, pull in state["pulls"].items():
            if (pull["state"], pull["base"], pull["head"], pull["sha"]) == (
                *map(fields.get, ("state", "base", "head")),
                sha,
            ):
                print(number)
    elif method == "POST" and (found := re.fullmatch(r"repos/o/r/statuses/([0-9a-f]{40})", path)):
        state["statuses"].append({"sha": found[1], **fields})
    elif method == "GET" and re.fullmatch(r"repos/o/r/issues/\d+/comments\?per_page=100", path):
        marker = re.search(r'startswith\("(.*?)"\)', options["--jq"])[1]
        assert '.user.login == "github-actions[bot]"' in options["--jq"]
        for comment in state["comments"]:
            if comment["user"] == "github-actions[bot]" and comment["body"].startswith(marker):
                print(comment["id"])
    elif method == "PATCH" and (found := re.fullmatch(r"repos/o/r/issues/comments/(\d+)", path)):
        next(c for c in state["comments"] if c["id"] == int(found[1]))["body"] = _body(options)
    elif method == "POST" and re.fullmatch(r"repos/o/r/issues/\d+/comments", path):
        number = 1 + max((comment["id"] for comment in state["comments"]), default=0)
        state["comments"].append({"id": number, "user": "github-actions[bot]", "body": _body(options)})
    else:
        return 1
    state_file.write_text(json.dumps(state))
    return 0


def _body(options: dict[str, str]) -> str:
    return Path(options["--field"].removeprefix("body=@")).read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
