"""An independent reader of the sealed formats, written from docs/format.md alone.

Needs `cryptography` and `pynacl`; check_vectors.py runs it.
"""
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt

SUITES = {"aes-256-gcm": 1, "chacha20-poly1305": 2, "xchacha20-poly1305": 3}
unhex = bytes.fromhex


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def expand(key, info, length):
    out, block = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = mac(key, block + info + bytes([counter]))
        out += block
    return out[:length]


def derive(label, secret, info=b""):
    return expand(mac(label, secret), info, 32)


class Wrong(Exception):
    """The commitment is another: wrong key, or wrong place."""


def unseal(root, suite, salt, context, commitment, ciphertext):
    h = sha256(context)
    okm = expand(root, b"cim/v1" + bytes([suite]) + salt + h, 64)
    if not hmac.compare_digest(okm[32:], commitment):
        raise Wrong()
    key, nonce = okm[:32], salt if suite == 3 else salt[:12]
    if suite == 1:
        return AESGCM(key).decrypt(nonce, ciphertext, h)
    if suite == 2:
        return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, h)
    return crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, h, nonce, key)


def open_blob(root, suite, context, blob):
    return unseal(root, suite, blob[:24], context, blob[24:56], blob[56:])


def slot_key(kind, suite, parameters, source):
    """The key-encryption key that a source gives for a slot, or None."""
    if kind == 1 and source["kind"] == "key" and SUITES[source["algorithm"]] == suite:
        return unhex(source["key"])
    if kind == 2 and source["kind"] == "passphrase":
        memory, passes, lanes = struct.unpack("<III", parameters[:12])
        kdf = Argon2id(salt=parameters[12:28], length=32, iterations=passes, lanes=lanes, memory_cost=memory)
        return kdf.derive(source["passphrase"].encode())
    if kind == 3 and source["kind"] == "provider" and parameters[1 : 1 + parameters[0]].decode() == source["name"]:
        return parameters[1 + parameters[0] :]  # the vectors' provider wraps nothing
    return None


def open_root(record, source=None):
    """Gives index id, generation and data keys {id: (suite, state, key)}; no keys for a plaintext store."""
    assert record[:4] == b"CIMR" and record[4] == 1 and record[6:8] == b"\0\0" and record[-32:] == sha256(record[:-32])
    index, at = record[8:24], 34
    if record[5] == 0:
        assert len(record) == 56
        return index, None, None
    keyset_key = None
    for _ in range(record[33]):
        kind, suite, length = struct.unpack("<BBH", record[at + 8 : at + 12])
        parameters, end = record[at + 12 : at + 12 + length], at + 12 + length + 104
        kek = slot_key(kind, suite, parameters, source)
        if kek is not None and keyset_key is None:
            context = b"cim/v1/slot" + index + record[at : at + 12 + length]
            try:
                keyset_key = open_blob(derive(b"cim/v1/slot", kek), suite, context, record[end - 104 : end])
            except Wrong:
                pass
        at = end
    if keyset_key is None:
        raise Wrong()
    (length,) = struct.unpack("<I", record[at : at + 4])
    assert at + 4 + length + 32 == len(record)
    context = b"cim/v1/keyset" + record[:at]
    body = open_blob(derive(b"cim/v1/keyset", keyset_key), record[32], context, record[at + 4 : -32])
    (count,) = struct.unpack("<H", body[:2])
    assert len(body) == 2 + count * 66
    entries = [body[2 + n * 66 : 68 + n * 66] for n in range(count)]
    return index, struct.unpack("<Q", record[24:32])[0], {e[:8]: (e[8], e[9], e[34:]) for e in entries}


def open_object(index, keys, place, data):
    bucket, kind, name, generation = place
    assert data[:5] == b"CIMO\x01" and data[6] < 4 and data[7] == kind
    suite, flags, key_id = data[5], data[6], data[8:16]
    context = b"cim/v1/object" + data[4:16] + index + struct.pack("<Q", generation)
    context += struct.pack("<H", len(bucket)) + bucket + struct.pack("<H", len(name)) + name
    assert (suite == 0) == (keys is None)
    if suite == 0:
        body = data[72:]
        assert data[8:40] == bytes(32) and data[40:72] == sha256(b"cim/v1/plaintext" + sha256(context) + body)
    else:
        key_suite, _, key = keys[key_id]
        assert key_suite == suite
        info = bytes([suite]) + index + bytes([kind]) + struct.pack("<Q", len(bucket)) + bucket
        root = derive(b"cim/v1/objects", key, info)
        body = unseal(root, suite, data[16:40], context, data[40:72], data[72:])
    if flags & 2:
        body = body.rstrip(b"\0")
        assert body[-1] == 0x80
        body = body[:-1]
    return decompress(body) if flags & 1 else body


def decompress(body):
    """Zstandard as far as the vectors use it: single segment, two bytes of content size, run-length and raw blocks."""
    assert body[4:9] == b"\x28\xb5\x2f\xfd\x60"
    content, at, last = b"", 11, 0
    while not last:
        header = int.from_bytes(body[at : at + 3], "little")
        last, block, size = header & 1, header >> 1 & 3, header >> 3
        assert block < 2
        content += body[at + 3 : at + 4] * size if block else body[at + 3 : at + 3 + size]
        at += 4 if block else 3 + size
    assert at == len(body) and len(content) == struct.unpack("<I", body[:4])[0]
    return content


def open_value(value, root, domain, parts):
    suite = SUITES[value["alg"]]
    key_id = bytes(8) if value["key"] is None else unhex(value["key"])
    context = bytes([len(domain)]) + domain + bytes([value["v"], suite]) + key_id
    context += b"".join(struct.pack("<Q", len(part)) + part for part in parts)
    return unseal(root, suite, value["salt"], context, value["commitment"], value["ciphertext"])
