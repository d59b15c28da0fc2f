"""Makes lists.zip, METEOR's word lists of English, byte for byte as METEOR 1.5 has them.

The synonyms are WordNet 3.0's, made of Debian's packages; METEOR's own two lists (resources/function/english.words and
resources/nonbreaking/english.prefixes of github.com/cmu-mtlab/meteor, commit 57a9ec5) are those of the present lists.zip.

Usage: python3 make_lists.py [FOLDER with wordnet-base.deb and wordnet-sense-index.deb, in place of the download]
"""
import collections
import hashlib
import io
import pathlib
import sys
import tarfile
import urllib.request
import zipfile

HERE = pathlib.Path(__file__).parent
POOL = "https://deb.debian.org/debian/pool/main/w/wordnet/{}_3.0-37_all.deb"
PACKAGES = {
    "wordnet-base": "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
    "wordnet-sense-index": "b22c7d3100470d90f812acc224718e4bd362d7ca427766fa3e11013c8c7895cf",
}
OWN = ["function/english.words", "nonbreaking/english.prefixes", "COPYING", "WordNet.txt"]


def package(name):
    """Returns the dictionary files of a Debian package."""
    if len(sys.argv) > 1:
        deb = pathlib.Path(sys.argv[1], name + ".deb").read_bytes()
    else:
        deb = urllib.request.urlopen(POOL.format(name)).read()
    if (got := hashlib.sha256(deb).hexdigest()) != PACKAGES[name]:
        sys.exit(f"{name}: SHA-256 is {got}, want {PACKAGES[name]}")
    at = 8  # behind the magic of ar; a member has a header of 60 bytes and begins at an even place
    while not deb[at:].startswith(b"data.tar"):
        at += 60 + int(deb[at + 48 : at + 58]) + 1 & ~1
    archive = tarfile.open(fileobj=io.BytesIO(deb[at + 60 : at + 60 + int(deb[at + 48 : at + 58])]))
    return {pathlib.Path(m.name).name: archive.extractfile(m).read() for m in archive if m.isfile()}


def synsets(index):
    """Turns index.sense into a line for each word and one for its synsets.

    These are numbered by where they stand in the files of WordNet 3.0; Debian has corrected these files, so that behind
    two places the numbers differ.
    """
    ids = collections.defaultdict(list)
    for line in index.splitlines():
        key, offset, *_ = line.split()
        word, kind = key.split(b"%")
        offset = int(offset)
        if kind[:1] in b"35" and offset >= 1681478:  # adjectives
            offset -= 1
        if kind[:1] == b"2" and 613036 <= offset < 2422967:  # verbs
            offset -= 18
        ids[word].append(b"%08d" % offset)
    return b"".join(word + b"\n" + b" ".join(numbers) + b"\n" for word, numbers in ids.items())


def exceptions(files):
    """Turns lines of an irregular form and its base words into a line for each base and one for its forms."""
    forms = collections.defaultdict(list)
    for name in ("adj.exc", "adv.exc", "noun.exc", "verb.exc"):
        for line in files[name].splitlines():
            form, *bases = line.split()
            for base in bases:
                forms[base].append(form)
    return b"".join(line.replace(b"\t", b"\n") + b"\n" for line in sorted(base + b"\t" + b" ".join(f) for base, f in forms.items()))


files = package("wordnet-base") | package("wordnet-sense-index")
with zipfile.ZipFile(HERE / "lists.zip") as old:
    lists = {name: old.read(name) for name in OWN}
lists["synonym/english.synsets"] = synsets(files["index.sense"])
lists["synonym/english.exceptions"] = exceptions(files)
with zipfile.ZipFile(HERE / "lists.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
    for name, text in sorted(lists.items()):
        new.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED, 9)
