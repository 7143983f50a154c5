"""An independent reader of the sealed formats, written from docs/format.md alone.

Needs `cryptography` and `pynacl`; check_vectors.py runs it.
"""
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt

from dag_cbor import Damaged, need

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
    """The commitment differs: wrong key or wrong location."""


class Newer(Exception):
    """The data was written in a newer version of the format."""


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


def read_head(data, magic):
    need(data[:4] == magic and len(data) > 4 and data[4] > 0, "the magic or version 0")
    if data[4] > 1:
        raise Newer()
    need(len(data) >= 56, "too short")


def read_slots(record):
    """Gives the slots as (suite, kind, head with parameters, parameters, blob), and where they end."""
    slots, at = [], 34
    need(1 <= record[33] <= 16, "the number of slots")
    for _ in range(record[33]):
        need(at + 12 <= len(record), "a slot over the end")
        kind, suite, length = struct.unpack("<BBH", record[at + 8 : at + 12])
        parameters, end = record[at + 12 : at + 12 + length], at + 12 + length + 104
        need(suite in (1, 2, 3) and end <= len(record) - 36, "a slot")
        check_parameters(kind, parameters)
        slots.append((suite, kind, record[at : at + 12 + length], parameters, record[end - 104 : end]))
        at = end
    need(len({head[:8] for _, _, head, _, _ in slots}) == len(slots), "a slot id twice")
    return slots, at


def check_parameters(kind, parameters):
    if kind == 1:
        need(not parameters, "parameters of a key slot")
    elif kind == 2:
        need(len(parameters) == 28, "parameters of a passphrase slot")
        memory, passes, lanes = struct.unpack("<III", parameters[:12])
        need(passes >= 1 and 1 <= lanes < 1 << 24 and memory // 8 >= lanes, "Argon2id does not define this")
    else:
        need(kind == 3 and parameters and 1 <= parameters[0] <= 64, "a slot's kind or provider name")
        need(0 <= len(parameters) - 1 - parameters[0] <= 4096, "a wrapped key's length")
        try:
            parameters[1 : 1 + parameters[0]].decode()
        except UnicodeDecodeError as error:
            raise Damaged("a provider's name") from error


def open_root(record, source=None):
    """Gives index id, generation and data keys {id: (suite, state, key)}; no keys for a plaintext store."""
    read_head(record, b"CIMR")
    need(record[-32:] == sha256(record[:-32]), "the digest")
    need(record[5] < 2 and record[6:8] == b"\0\0", "mode or reserved bytes")
    index = record[8:24]
    if record[5] == 0:
        need(len(record) == 56, "bytes left over")
        return index, None, None
    need(len(record) > 66, "too short")
    (generation,) = struct.unpack("<Q", record[24:32])
    need(generation > 0 and record[32] in (1, 2, 3), "the generation or the suite")
    slots, at = read_slots(record)
    keyset_key = None
    for suite, kind, slot_head, parameters, blob in slots:
        kek = slot_key(kind, suite, parameters, source)
        if kek is not None and keyset_key is None:
            try:
                keyset_key = open_blob(derive(b"cim/v1/slot", kek), suite, b"cim/v1/slot" + index + slot_head, blob)
            except Wrong:
                pass
    if keyset_key is None:
        raise Wrong()
    (length,) = struct.unpack("<I", record[at : at + 4])
    need(at + 4 + length + 32 == len(record), "the body's length")
    context = b"cim/v1/keyset" + record[:at]
    try:
        body = open_blob(derive(b"cim/v1/keyset", keyset_key), record[32], context, record[at + 4 : -32])
    except Wrong as error:
        raise Damaged("a body that this keyset key did not seal") from error
    return index, generation, read_keys(body)


def read_keys(body):
    need(len(body) >= 2, "the body")
    (count,) = struct.unpack("<H", body[:2])
    need(count <= 1024 and len(body) == 2 + count * 66, "the number of data keys")
    entries = [body[2 + n * 66 : 68 + n * 66] for n in range(count)]
    keys = {e[:8]: (e[8], e[9], e[34:]) for e in entries}
    need(len(keys) == count, "a data key id twice")
    for suite, state, key in keys.values():
        need(suite in (1, 2, 3) and state in (1, 2, 3) and (state < 3 or key == bytes(32)), "a data key")
    need([state for _, state, _ in keys.values()].count(1) == 1, "not one active data key")
    return keys


def open_object(index, keys, place, data):
    bucket, kind, name, generation = place
    read_head(data, b"CIMO")
    need(len(data) >= 72 and data[6] < 4 and data[7] == kind, "the header")
    suite, flags, key_id = data[5], data[6], data[8:16]
    context = b"cim/v1/object" + data[4:16] + index + struct.pack("<Q", generation)
    context += struct.pack("<H", len(bucket)) + bucket + struct.pack("<H", len(name)) + name
    need((suite == 0) == (keys is None) and suite < 4, "the suite")
    if suite == 0:
        body = data[72:]
        digest = sha256(b"cim/v1/plaintext" + sha256(context) + body)
        need(data[8:40] == bytes(32) and data[40:72] == digest, "the digest")
    else:
        need(key_id in keys, "the data key")
        key_suite, state, key = keys[key_id]
        need(key_suite == suite and state < 3, "the data key's suite or state")
        info = bytes([suite]) + index + bytes([kind]) + struct.pack("<Q", len(bucket)) + bucket
        root = derive(b"cim/v1/objects", key, info)
        body = unseal(root, suite, data[16:40], context, data[40:72], data[72:])
    if flags & 2:
        body = body.rstrip(b"\0")
        need(body[-1:] == b"\x80", "the padding")
        body = body[:-1]
    return decompress(body) if flags & 1 else body


def decompress(body):
    """Zstandard as far as the vectors use it: single segment, two bytes of content size, run-length and raw blocks."""
    need(body[4:9] == b"\x28\xb5\x2f\xfd\x60", "a frame that the vectors do not use")
    content, at, last = b"", 11, 0
    while not last:
        header = int.from_bytes(body[at : at + 3], "little")
        last, block, size = header & 1, header >> 1 & 3, header >> 3
        need(block < 2 and at + 3 < len(body), "a block that the vectors do not use")
        content += body[at + 3 : at + 4] * size if block else body[at + 3 : at + 3 + size]
        at += 4 if block else 3 + size
    need(at == len(body) and len(content) == struct.unpack("<I", body[:4])[0], "the content's length")
    return content


def open_value(value, root, domain, parts):
    if value.get("v", 0) > 1:
        raise Newer()
    need(set(value) == {"v", "alg", "key", "salt", "commitment", "ciphertext"}, "the fields")
    need(value["v"] == 1 and value["alg"] in SUITES, "the version or the algorithm")
    need(len(value["salt"]) == 24 and len(value["commitment"]) == 32, "the salt or the commitment")
    need(16 <= len(value["ciphertext"]) <= (64 << 20) + 16, "the ciphertext's length")
    suite = SUITES[value["alg"]]
    key_id = bytes(8) if value["key"] is None else unhex(value["key"])
    need(value["key"] is None or key_id.hex() == value["key"] and len(key_id) == 8, "the data key id")
    context = bytes([len(domain)]) + domain + bytes([value["v"], suite]) + key_id
    context += b"".join(struct.pack("<Q", len(part)) + part for part in parts)
    return unseal(root, suite, value["salt"], context, value["commitment"], value["ciphertext"])
