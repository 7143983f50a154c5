"""Decodes the subset of DAG-CBOR that the formats use.

The value is encoded again, because a reader must refuse any encoding but the canonical one.
"""


class Damaged(Exception):
    """The bytes are not what docs/format.md describes."""


def need(holds, what):
    """Raises Damaged unless `holds`. An `assert` would be removed under -O."""
    if not holds:
        raise Damaged(what)


class Link(bytes):
    """A CID in binary."""


def cbor(data):
    """Decodes `data`, which must be the canonical encoding of exactly one value."""
    try:
        value, end = item(data, 0)
    except (IndexError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged("not DAG-CBOR") from error
    need(end == len(data) and encode(value) == data, "not canonical")
    return value


def item(data, at):
    major, n, at = data[at] >> 5, data[at] & 31, at + 1
    if major == 7:
        need(n == 22, "a simple value")
        return None, at
    need(n < 28, "an indefinite length")
    if n >= 24:
        width = 1 << n - 24
        n, at = int.from_bytes(data[at : at + width], "big"), at + width
    if major == 0:
        return n, at
    if major in (2, 3):
        need(at + n <= len(data), "a length over the end")
        return (data[at : at + n] if major == 2 else data[at : at + n].decode()), at + n
    if major == 6:
        link, at = item(data, at)
        need(n == 42 and isinstance(link, bytes) and link[:1] == b"\0", "a tag")
        return Link(link[1:]), at
    need(major == 5, "a type that the formats lack")
    fields = {}
    for _ in range(n):
        key, at = item(data, at)
        need(isinstance(key, str), "a key that is no text")
        fields[key], at = item(data, at)
    return fields, at


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    width = next(width for width in range(4) if n < 1 << (8 << width))
    return bytes([major << 5 | 24 + width]) + n.to_bytes(1 << width, "big")


def encode(value):
    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, Link):
        return head(6, 42) + encode(b"\0" + bytes(value))
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    fields = sorted(value.items(), key=lambda field: (len(field[0].encode()), field[0].encode()))
    return head(5, len(value)) + b"".join(encode(key) + encode(field) for key, field in fields)
