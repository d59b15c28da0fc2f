"""Makes the folder generation/ from the real data sets, and what LoRA's own scripts make of them.

    python make_generation.py DATASETS NLG

DATASETS holds the folders e2e (official CSV files), e2e_lora and webnlg2017, NLG is examples/NLG of
github.com/microsoft/LoRA at c4593f0. E2E's rows are real ones, few: E2E is CC BY-SA 4.0
(github.com/tuetschek/e2e-dataset). WebNLG's licence (CC BY-NC-SA 4.0) does not go with this repository's, so its entries
are made up here, in the form of the real ones. Needs pyarrow; made with 26.0.1.

    generation/e2e       rows of the official files that show every attribute and price
    generation/e2e_lora  the lines of LoRA's valid.txt and test.txt for the same rows
    generation/e2e_hub   the same rows in the hub's layout
    generation/webnlg    a few made-up entries in each file
    generation/want.json what LoRA's format_converting_webnlg.py makes of these, and of the whole real files
"""

import csv
import hashlib
import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import pyarrow
import pyarrow.parquet

DATA, NLG = map(pathlib.Path, sys.argv[1:3])
OUT = pathlib.Path(__file__).with_name("generation")


def e2e(name, lora, hub):
    text = (DATA / "e2e" / f"{name}.csv").read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    seen, chosen, first = set(), [], False
    for i, row in enumerate(rows):
        pairs = set(re.findall(r"([^\[\], ][^\[\],]*)\[([^\]]*)\]", row["mr"]))
        new = {(k, v if k not in ("name", "near") else "") for k, v in pairs} - seen
        if new or chosen and chosen[-1] == i - 1 and first and row["mr"] == rows[i - 1]["mr"]:  # with a second reference
            chosen.append(i)
            seen |= new
            first = bool(new)
    rows = [rows[i] for i in chosen]
    header = text.partition("\n")[0]
    quoting = csv.QUOTE_ALL if header.startswith('"') else csv.QUOTE_MINIMAL
    file = OUT / "e2e" / f"{name}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, ["mr", "ref"], quoting=quoting, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    table = pyarrow.table({"meaning_representation": [r["mr"] for r in rows], "human_reference": [r["ref"] for r in rows]})
    (OUT / "e2e_hub").mkdir(exist_ok=True)
    pyarrow.parquet.write_table(table, OUT / "e2e_hub" / f"{hub}-00000-of-00001.parquet")
    if lora:
        lines = (DATA / "e2e_lora" / f"{lora}.txt").read_text("utf-8").split("\n")
        (OUT / "e2e_lora").mkdir(exist_ok=True)
        (OUT / "e2e_lora" / f"{lora}.txt").write_text("".join(lines[i] + "\n" for i in chosen), "utf-8")


def converted(file):
    """The rows of LoRA's script: {"context", "completion", "cate"}."""
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run([sys.executable, NLG / "src/format_converting_webnlg.py", file, out.name], check=True, stdout=subprocess.DEVNULL)
        return [json.loads(line) for line in open(out.name)]


# Of each entry: its category, how many triples, and which texts are marked as good (g).
ENTRIES = {
    "train": "Airport 1 gg, Astronaut 2 bgggg, Astronaut 1 gbg, Building 1 gg, City 3 ggg, ComicsCharacter 1 ggg, Food 1 gg,"
             "Monument 2 ggg, SportsTeam 1 gg, University 1 ggg, WrittenWork 1 gg",
    "dev": "Airport 1 g, Astronaut 1 ggggg, Building 2 gg, Building 1 bb, Building 1 gbg, City 1 ggg, ComicsCharacter 3 ggg,"
           "Food 1 ggg, Monument 2 gggggggg, SportsTeam 1 ggg, University 1 ggg, WrittenWork 1 gg",
    "test": "Airport 1 gg, Monument 2 gggggg, Building 1 gg, WrittenWork 3 ggg, SportsTeam 1 ggg, University 2 g, Astronaut 1 ggggg,"
            "ComicsCharacter 1 gg, City 1 ggg, Food 1 ggg, Politician 1 gg, MeanOfTransportation 2 gg, Athlete 1 gg, Artist 1 g,"
            "CelestialBody 1 gg",
}
SUBJECTS = ["Vellmora_Field", "Ørsta_Bridge", "Tam_Dillon", "Café_Ünsal", "Port_Harrow_(north)", "Kell_&_Sons", "The_Grey_Tern", "5_Mill_Lane"]
OBJECTS = ["Lower_Vell", '"14.6"', "Ana_Řezníčková", '"Harrow, Vell"', "1987-04-02", "Blue_tern_(bird)", '"first \\"open\\" stand"', "St._Ossian's"]
PROPERTIES = ["locatedIn", "lengthInMetres", "leaderName", "openedBy", "completionDate", "emblem", "knownFor"]
FORMS = ["The {p} of {s} is {o}.", "{o} is the {p} of {s}.", "{s} has the {p} {o}.", "{s}'s {p}: {o}.", "For {s}, the {p} is {o}."]


def made_up(number, category, triples, texts):
    facts = [{"object": OBJECTS[(3 * number + i) % 8], "property": PROPERTIES[(number + i) % 7], "subject": SUBJECTS[(number + i // 2) % 8]}
             for i in range(triples)]
    plain = [{k: v.replace("_", " ").replace('"', "") for k, v in fact.items()} for fact in facts]
    lex = [" ".join(FORMS[(number + t) % 5].format(p=f["property"], s=f["subject"], o=f["object"]) for f in plain)
           for t in range(len(texts))]
    return {"category": category, "lexicalisations": [
        {"comment": "good" if mark == "g" else "toFix", "lang": "", "lex": text, "xml_id": f"Id{t + 1}"}
        for t, (mark, text) in enumerate(zip(texts, lex))
    ], "modifiedtripleset": facts, "size": str(triples)}


def webnlg(name):
    chosen = []
    for i, entry in enumerate(ENTRIES[name].split(",")):
        category, triples, texts = entry.split()
        chosen.append({str(i + 1): made_up(i + len(name), category, int(triples), texts)})
    file = OUT / "webnlg" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"entries": chosen}, indent=1, ensure_ascii=name == "train") + "\n", "utf-8")
    rows = converted(DATA / "webnlg2017" / f"{name}.json")
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row['context']}\x1f{row['completion']}\x1f{row['cate']}\n".encode())
    return {"rows": converted(file), "whole": {"rows": len(rows), "sha256": digest.hexdigest()}}


e2e("trainset", None, "train")
e2e("devset", "valid", "validation")
e2e("testset_w_refs", "test", "test")
want = {name: webnlg(name) for name in ("train", "dev", "test")}
(OUT / "want.json").write_text(json.dumps(want, ensure_ascii=False, indent=1) + "\n", "utf-8")
