"""Decodes as much of DAG-CBOR as the formats use."""


def cbor(data, at=0):
    """Gives a DAG-CBOR value and where it ends; a link is its CID in binary."""
    major, n, at = data[at] >> 5, data[at] & 31, at + 1
    if major == 7:
        assert n == 22
        return None, at
    if n >= 24:
        width = 1 << n - 24
        n, at = int.from_bytes(data[at : at + width], "big"), at + width
    if major == 0:
        return n, at
    if major in (2, 3):
        return (data[at : at + n] if major == 2 else data[at : at + n].decode()), at + n
    if major == 6:
        link, at = cbor(data, at)
        assert n == 42 and link[0] == 0
        return link[1:], at
    assert major == 5
    fields = {}
    for _ in range(n):
        key, at = cbor(data, at)
        fields[key], at = cbor(data, at)
    return fields, at
