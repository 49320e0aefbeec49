"""What the peers of the bench have in common: their command line, and the figures that they print.

It imports nothing that a peer may not need, as the memory of each is measured.
"""

import argparse
import json
import pathlib
import resource
import time


def command_line(description):
    """The parser of a script with the commands `make FOLDER` and `run FOLDER`, and those of the two."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    made, measured = commands.add_parser("make"), commands.add_parser("run")
    for command in (made, measured):
        command.add_argument("folder", type=pathlib.Path)
    return parser, made, measured


def counts(parser, *names):
    """Adds options that are whole numbers and must be given."""
    for name in names:
        parser.add_argument(f"--{name}", type=int, required=True)


def start(parser, make, run):
    args = parser.parse_args()
    make(args) if args.command == "make" else run(args)


def give(of=resource.RUSAGE_SELF, **figures):
    """Prints figures as a JSON object, with the highest resident memory of this process or its children."""
    print(json.dumps(figures | dict(peak_rss_mib=resource.getrusage(of).ru_maxrss / 1024)))


def start_writing(description, make, run):
    """The command line of what writes texts."""
    parser, _, measured = command_line(description)
    measured.add_argument("model")
    counts(measured, "batch", "beams", "new")
    start(parser, make, run)


def prompts(folder):
    with open(folder / "prompts.jsonl") as file:
        return [json.loads(line)["prompt"] for line in file]


def time_writing(args, rows, write):
    """Gives the speed of `write(rows, new)`, which tells how many tokens it wrote, over all batches of rows."""
    rows = sorted(rows, key=len, reverse=True)
    write(rows[: args.batch], 4)
    begin, written = time.perf_counter(), 0
    for at in range(0, len(rows), args.batch):
        written += write(rows[at : at + args.batch], args.new)
    seconds = time.perf_counter() - begin
    assert written == args.new * len(rows), (written, args.new * len(rows))
    give(tokens=written, seconds=seconds, tokens_per_s=written / seconds)
