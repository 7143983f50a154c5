"""Opens every test vector with the independent reader: python check_vectors.py VECTORS.json"""
import base64
import json
import struct
import sys

from dag_cbor import cbor
from reader import SUITES, Wrong, derive, mac, open_object, open_root, open_value, sha256, unhex


def content_root(vector):
    return derive(b"cim/v1/content", unhex(vector["key"]), bytes([SUITES[vector["algorithm"]]]))


def refuse_elsewhere(store, place, data):
    bucket, kind, name, generation = place
    places = [(b"", kind, name, generation), (bucket, kind, b"", generation), (bucket, kind, name, generation ^ 1)]
    for elsewhere in places + [(bucket + name[:1], kind, name[1:], generation)]:
        try:
            open_object(*store, elsewhere, data)
        except (Wrong, AssertionError):
            continue
        raise AssertionError(f"{place} opened as {elsewhere}")


def check(vectors):
    stores = {}
    for root in vectors["roots"]:
        for source in root["sources"] or [None]:
            index, generation, keys = open_root(unhex(root["record"]), source)
            assert index.hex() == root["index_id"] and generation == root.get("generation")
            if keys is not None:
                active = [key_id.hex() for key_id, (_, state, _) in keys.items() if state == 1]
                assert active == [root["active_key"]] and len(keys) == root["data_keys"]
            stores[root["name"]] = (index, keys)
    for vector in vectors["objects"]:
        place = (vector["bucket"].encode(), vector["kind"], vector["object_name"].encode(), vector["generation"])
        content = open_object(*stores[vector["root"]], place, unhex(vector["object"]))
        assert content == unhex(vector["content"]), vector["name"]
        refuse_elsewhere(stores[vector["root"]], place, unhex(vector["object"]))
    for vector in vectors["values"]:
        value, _ = cbor(unhex(vector["value"]))
        if "root" in vector:
            index, keys = stores[vector["root"]]
            suite, _, key = keys[unhex(value["key"])]
            root = derive(b"cim/v1/keyset-content", key, bytes([suite]) + index)
        else:
            root = content_root(vector)
        plaintext = open_value(value, root, b"cim/v1/content", [unhex(vector["associated"])])
        assert plaintext == unhex(vector["plaintext"]), vector["name"]
    for vector in vectors["wrappers"]:
        block = unhex(vector["block"])
        wrapper, end = cbor(block)
        assert end == len(block) and wrapper["aad"] == unhex(vector["aad"])
        cid, root, metadata = unhex(vector["cid"]), content_root(vector), unhex(vector["metadata"])
        if vector["mode"] == "clear":
            bound = [wrapper["cid"], wrapper["aad"]]
            assert wrapper["cid"] == cid
            assert open_value(wrapper["encrypted_metadata"], root, b"cim/v1/wrapper", bound) == metadata
        else:
            secret = derive(b"cim/v1/cid-names", unhex(vector["key"]), bytes([SUITES[vector["algorithm"]]]))
            assert wrapper["name"] == mac(secret, b"cim/v1/cid-name" + cid)
            bound = [wrapper["name"], wrapper["aad"]]
            plaintext = open_value(wrapper["encrypted"], root, b"cim/v1/hidden-wrapper", bound)
            assert plaintext == struct.pack("<H", len(cid)) + cid + metadata
        own = b"\x01\x71\x12\x20" + sha256(block)
        assert "b" + base64.b32encode(own).decode().lower().rstrip("=") == vector["wrapper_cid"]
    for vector in vectors["names"]:
        message = b"cim/v1/name" + struct.pack("<BI", vector["class"], vector["ordinal"])
        assert base64.b32encode(mac(unhex(vector["secret"]), message)[:20]).decode().lower() == vector["name"]
    for vector in vectors["text_names"]:
        message = b"cim/v1/text-name" + vector["text"].encode()
        assert base64.b32encode(mac(unhex(vector["secret"]), message)[:20]).decode().lower() == vector["name"]
    for vector in vectors["key_files"]:
        assert vector["file"] == f"cim-key-v1:{vector['algorithm']}:{vector['key']}\n"
    for vector in vectors["derived_keys"]:
        info = bytes([SUITES[vector["algorithm"]]]) + unhex(vector["info"])
        assert derive(b"cim/v1/derive", unhex(vector["key"]), info).hex() == vector["derived"]


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        loaded = json.load(file)
    check(loaded)
    print(*(f"{len(group)} {name}" for name, group in loaded.items() if isinstance(group, list)), sep=", ")
