"""Opens every test vector with the independent reader: python check_vectors.py VECTORS.json"""
import base64
import json
import struct
import sys

from dag_cbor import Damaged, cbor, need
from reader import SUITES, Newer, Wrong, derive, mac, open_object, open_root, open_value, sha256, unhex


def content_root(vector):
    return derive(b"cim/v1/content", unhex(vector["key"]), bytes([SUITES[vector["algorithm"]]]))


def refuse_elsewhere(store, place, data):
    bucket, kind, name, generation = place
    places = [(b"", kind, name, generation), (bucket, kind, b"", generation), (bucket, kind, name, generation ^ 1)]
    for elsewhere in places + [(bucket + name[:1], kind, name[1:], generation)]:
        refuse((Wrong, Damaged), open_object, *store, elsewhere, data)


def refuse(errors, function, *arguments):
    try:
        function(*arguments)
    except errors:
        return
    raise Damaged(f"{function.__name__} takes what it must refuse: {arguments}")


def refuse_changed_root(record, source):
    """Checks that changed root records are refused, most of them with a correct digest."""
    def changed(at, byte):
        content = record[:at] + bytes([byte]) + record[at + 1 : -32]
        return content + sha256(content)

    refuse(Damaged, open_root, record[:-1] + bytes([record[-1] ^ 1]), source)
    refuse(Damaged, open_root, changed(0, 0), source)
    refuse(Newer, open_root, changed(4, 2), source)
    refuse(Newer, open_root, b"CIMR\x02", source)
    refuse(Damaged, open_root, changed(5, 2), source)
    refuse(Damaged, open_root, changed(6, 1), source)
    refuse(Damaged, open_root, record[:-32] + b"\0" + sha256(record[:-32] + b"\0"), source)
    if record[5] == 1:
        refuse(Damaged, open_root, changed(24, record[24] ^ 0x80), source)
        refuse(Damaged, open_root, changed(32, 4), source)
        refuse(Damaged, open_root, changed(33, 0), source)


def refuse_changed_encoding(encoded):
    size = encoded[0] & 31
    refuse(Damaged, cbor, encoded + b"\0")
    refuse(Damaged, cbor, encoded[:-1])
    refuse(Damaged, cbor, bytes([0xB8, size]) + encoded[1:])
    more = bytes([0xA1 + size]) + encoded[1:] + b"\x6dsomething-new\x01"
    refuse(Damaged, open_value, cbor(more), bytes(32), b"", [])
    refuse(Newer, open_value, {**cbor(encoded), "v": 2}, bytes(32), b"", [])


def check(vectors):
    stores = {}
    for root in vectors["roots"]:
        for source in root["sources"] or [None]:
            index, generation, keys = open_root(unhex(root["record"]), source)
            need(index.hex() == root["index_id"] and generation == root.get("generation"), "the root")
            if keys is not None:
                active = [key_id.hex() for key_id, (_, state, _) in keys.items() if state == 1]
                need(active == [root["active_key"]] and len(keys) == root["data_keys"], "the data keys")
            stores[root["name"]] = (index, keys)
            refuse_changed_root(unhex(root["record"]), source)
    for vector in vectors["objects"]:
        place = (vector["bucket"].encode(), vector["kind"], vector["object_name"].encode(), vector["generation"])
        content = open_object(*stores[vector["root"]], place, unhex(vector["object"]))
        need(content == unhex(vector["content"]), vector["name"])
        refuse_elsewhere(stores[vector["root"]], place, unhex(vector["object"]))
    for vector in vectors["values"]:
        value = cbor(unhex(vector["value"]))
        refuse_changed_encoding(unhex(vector["value"]))
        if "root" in vector:
            index, keys = stores[vector["root"]]
            suite, _, key = keys[unhex(value["key"])]
            root = derive(b"cim/v1/keyset-content", key, bytes([suite]) + index)
        else:
            root = content_root(vector)
        plaintext = open_value(value, root, b"cim/v1/content", [unhex(vector["associated"])])
        need(plaintext == unhex(vector["plaintext"]), vector["name"])
    for vector in vectors["wrappers"]:
        block = unhex(vector["block"])
        wrapper = cbor(block)
        need(wrapper["aad"] == unhex(vector["aad"]), "aad")
        cid, root, metadata = unhex(vector["cid"]), content_root(vector), unhex(vector["metadata"])
        if vector["mode"] == "clear":
            bound = [wrapper["cid"], wrapper["aad"]]
            need(wrapper["cid"] == cid, "a vector")
            need(open_value(wrapper["encrypted_metadata"], root, b"cim/v1/wrapper", bound) == metadata, "a vector")
        else:
            secret = derive(b"cim/v1/cid-names", unhex(vector["key"]), bytes([SUITES[vector["algorithm"]]]))
            need(wrapper["name"] == mac(secret, b"cim/v1/cid-name" + cid), "a vector")
            bound = [wrapper["name"], wrapper["aad"]]
            plaintext = open_value(wrapper["encrypted"], root, b"cim/v1/hidden-wrapper", bound)
            need(plaintext == struct.pack("<H", len(cid)) + cid + metadata, "a vector")
        own = b"\x01\x71\x12\x20" + sha256(block)
        need("b" + base64.b32encode(own).decode().lower().rstrip("=") == vector["wrapper_cid"], "a vector")
    for vector in vectors["names"]:
        message = b"cim/v1/name" + struct.pack("<BI", vector["class"], vector["ordinal"])
        name = base64.b32encode(mac(unhex(vector["secret"]), message)[:20]).decode().lower()
        need(name == vector["name"], "a vector")
    for vector in vectors["text_names"]:
        message = b"cim/v1/text-name" + vector["text"].encode()
        name = base64.b32encode(mac(unhex(vector["secret"]), message)[:20]).decode().lower()
        need(name == vector["name"], "a vector")
    for vector in vectors["key_files"]:
        need(vector["file"] == f"cim-key-v1:{vector['algorithm']}:{vector['key']}\n", "a vector")
    for vector in vectors["derived_keys"]:
        info = bytes([SUITES[vector["algorithm"]]]) + unhex(vector["info"])
        need(derive(b"cim/v1/derive", unhex(vector["key"]), info).hex() == vector["derived"], "a vector")


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        loaded = json.load(file)
    check(loaded)
    print(*(f"{len(group)} {name}" for name, group in loaded.items() if isinstance(group, list)), sep=", ")
