#!/usr/bin/env python3
"""Makes conversations of E2E's table: JSON lines, for a chat model to be trained on.

Every conversation is of one meaning representation and has two turns: the facts and what a person wrote of them, the wish
for other words and what another person wrote. Of the table they are the first N that have two different texts.

Usage: e2e_chats.py TRAINSET.csv N >chats.jsonl
"""

import csv
import json
import sys


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
    if len(sys.argv) != 3 or not sys.argv[2].isdigit():
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8-sig", newline="") as table:
        for number, messages in enumerate(conversations(csv.DictReader(table))):
            if number == int(sys.argv[2]):
                break
            print(json.dumps({"messages": messages}, ensure_ascii=False))


if __name__ == "__main__":
    main()
