"""What `spak mcp` costs its reader: characters of every default answer, and how long a client waits for it.

    python -m bench.agent_answers

A client starts the server on the shipped laws and asks each question `--times` times.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters, stdio_client

LAWS = Path(__file__).parents[1] / "laws"
WHERE = {"hw": "h200", "op": "fmha", "problem": {"head_dim": 128}}
QUESTIONS = {
    "first": WHERE,
    "query": WHERE,
    "why": WHERE | {"config": {"tile_m": 32, "tile_n": 128}},
    "filter": WHERE | {"grid": {"tile_m": [32, 64, 128], "tile_n": [32, 64, 128]}},
    "rank": WHERE | {"grid": {"tile_m": [32, 64, 128], "tile_n": [32, 64, 128]}},
    "explain": {"law": "sm90-fmha-32-rows-slow"},
    "names": {"op": "fmha"},
}


async def measure(times: int) -> None:
    """Print the table."""
    start = StdioServerParameters(
        command=sys.executable, args=["-m", "spak.cli.spak", "mcp", "--laws", str(LAWS)], env=dict(os.environ)
    )
    began = time.perf_counter()
    async with Client(stdio_client(start)) as client:
        print(f"start to first answer of the protocol: {time.perf_counter() - began:.2f} s")
        tools = (await client.list_tools()).tools
        read = sum(len(json.dumps([one.name, one.description, one.input_schema])) for one in tools)
        print(f"names, descriptions and argument schemas of the {len(tools)} tools: {read:,} characters\n")
        print("| tool | words | structured | lines | first call, s | least of the next, s |\n|---|---|---|---|---|---|")
        for tool, arguments in QUESTIONS.items():
            waits = []
            for _ in range(times):
                began = time.perf_counter()
                found = await client.call_tool(tool, arguments)
                waits.append(time.perf_counter() - began)
            words, structured = found.content[0].text, json.dumps(found.structured_content)
            sizes = f"{len(words):,} | {len(structured):,} | {len(words.splitlines())}"
            print(f"| `{tool}` | {sizes} | {waits[0]:.2f} | {min(waits[1:]):.2f} |")


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="questions of each kind; the first is told apart")
    anyio.run(measure, parser.parse_args().times)


if __name__ == "__main__":
    main()
