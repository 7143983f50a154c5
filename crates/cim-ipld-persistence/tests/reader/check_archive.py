"""Lists and checks every block of an archive, with the standard library only.

An independent reader of docs/format.md, "Archives", as far as it goes without a key: the CARv1
framing, the content identifiers, and the headers of the sealed blocks. Prints a line for each block,
then a summary. Fails at the first byte that is not as described.

    python3 check_archive.py FILE.car
"""
import base64
import hashlib
import sys

CID_PREFIX = bytes([1, 0x55, 0x12, 0x20])
MAX_BLOCK = (128 << 20) + 4096
ROLES = {4: "page", 7: "export", 0x10: "deletes", 0x12: "page digests", 0x15: "ancestry"}


class Damaged(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Damaged(what)


def take(file, length):
    data = file.read(length)
    need(len(data) == length, "the file is cut off")
    return data


def varint(file, may_end=False):
    number, shift = 0, 0
    while True:
        byte = file.read(1)
        if not byte and may_end and shift == 0:
            return None
        need(byte, "the file is cut off")
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            need(shift == 0 or byte[0] != 0, "a length is not in its shortest form")
            return number
        shift += 7
        need(shift < 63, "a length is too large")


def header(data):
    """Decodes the DAG-CBOR map {"roots": [link, link], "version": 1}."""
    start, end = b"\xa2\x65roots\x82", b"\x67version\x01"
    need(data.startswith(start) and data.endswith(end), "the header is not that of a CARv1 file with two roots")
    links = data[len(start) : -len(end)]
    link = b"\xd8\x2a\x58\x25\x00" + CID_PREFIX
    need(len(links) == 2 * (len(link) + 32), "the header is not that of a CARv1 file with two roots")
    first, second = links[: len(links) // 2], links[len(links) // 2 :]
    need(first.startswith(link) and second.startswith(link), "a root has another kind of identifier")
    return first[len(link) :], second[len(link) :]


def blocks(file):
    while (length := varint(file, may_end=True)) is not None:
        need(36 <= length <= 36 + MAX_BLOCK, "a section has an impossible length")
        cid = take(file, 36)
        need(cid.startswith(CID_PREFIX), "an identifier is not CIDv1, raw, SHA-256")
        block = take(file, length - 36)
        need(hashlib.sha256(block).digest() == cid[4:], "a block does not match its identifier")
        yield cid, block


def role(block):
    if block.startswith(b"CIMR\x01"):
        return "root record"
    need(block.startswith(b"CIMO\x01") and len(block) >= 72, "a block is no sealed object")
    return ROLES.get(block[7]) or "kind %d" % block[7]


def cid_text(cid):
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


def check(path):
    counts = {}
    with open(path, "rb") as file:
        root, record = header(take(file, varint(file)))
        for number, (cid, block) in enumerate(blocks(file)):
            found = role(block)
            expected = {0: (record, "root record"), 1: (root, "export")}.get(number)
            need(expected in (None, (cid[4:], found)), "the first blocks are not the root record and the root block")
            need(number < 2 or found != "root record", "there is a second root record")
            counts[found] = counts.get(found, 0) + 1
            print(cid_text(cid), len(block), found)
    need(sum(counts.values()) >= 3, "the file ends before its first directory")
    print("sound:", ", ".join("%d %s" % (counts[name], name) for name in sorted(counts)))


if __name__ == "__main__":
    try:
        check(sys.argv[1])
    except Damaged as damaged:
        sys.exit("damaged: %s" % damaged)
