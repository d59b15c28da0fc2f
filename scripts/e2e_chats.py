#!/usr/bin/env python3
"""Makes conversations of E2E's table: JSON lines, for a chat model to be trained on.

Every conversation is of one meaning representation and has two turns: the facts and what a person wrote of them, the wish
for other words and what another person wrote. Of the table they are the first N that have two different texts.
"""

import argparse
import csv
import json


def conversations(rows):
    """Yields the messages of each meaning representation, in the order in which its second text stands in rows."""
    first = {}
    for row in rows:
        facts, text = row["mr"], row["ref"]
        if facts not in first:
            first[facts] = text
        elif first[facts] not in (None, text):
            yield [
                {"role": "user", "content": f"Describe this restaurant in a sentence or two: {facts}"},
                {"role": "assistant", "content": first[facts]},
                {"role": "user", "content": "Say it in other words."},
                {"role": "assistant", "content": text},
            ]
            first[facts] = None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("table", metavar="TRAINSET.csv")
    p.add_argument("number", metavar="N", type=int)
    args = p.parse_args()
    with open(args.table, encoding="utf-8-sig", newline="") as table:
        for number, messages in enumerate(conversations(csv.DictReader(table))):
            if number == args.number:
                break
            print(json.dumps({"messages": messages}, ensure_ascii=False))


if __name__ == "__main__":
    main()
