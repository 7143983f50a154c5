//! CIDs on the command line: every valid spelling finds its document, and no other text does.

use serde_json::json;

use crate::program::{done, json, refused};
use crate::store::Store;

const V0: &str = "QmRN6wdp1S2A5EtjW9A3M1vKSBuQQGcgvuhoMUoEz4iiT5";
const V1: &str = "bafybeibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
/// The bytes of `V1`, followed by two more.
const TRAILING: &str = "bafybeibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yer5hu";

fn index_of(cid: &str, text: &str) -> Store {
    let store = Store::folder();
    done(["init", &store.name(), "--plaintext"]);
    put(&store, cid, text);
    store
}

fn put(store: &Store, cid: &str, text: &str) {
    let line = store.write("line.jsonl", json!({"cid": cid, "text": text}).to_string());
    done(["index", &store.name(), &line]);
}

#[test]
fn a_document_is_found_by_every_spelling_of_its_cid() {
    for (put_as, before, asked, after) in [
        (V0, "", V1, ""),
        (V1, "", V0, ""),
        (V1, "ipfs://", V1, ""),
        (V0, "/ipfs/", V0, "/"),
        (V1, "https://ipfs.io/ipfs/", V1, "?filename=a.pdf"),
        (V1, "", "BAFYBEIBM6JG3UX5QUMHCN2B3FLC3TYU6DMLB4XA7U5BF44YEGNRJHC4YEQ", ""),
    ] {
        let store = index_of(put_as, "whales");
        let asked = format!("{before}{asked}{after}");
        assert_eq!(json(["get", &store.name(), &asked, "--json"])["cid"], V1, "{asked}");
        put(&store, &asked, "boats");
        assert_eq!(json(["stats", &store.name(), "--json"])["documents"], 1, "{asked} is another document");
        assert_eq!(done(["rm", &store.name(), &asked]), format!("removed {V1}\n"));
    }
}

#[test]
fn what_is_no_cid_names_no_document() {
    let store = index_of(V1, "genuine");
    for (text, reason) in [
        (TRAILING, "bytes follow"),
        ("zQmRN6wdp1S2A5EtjW9A3M1vKSBuQQGcgvuhoMUoEz4iiT5", "no multibase"),
        (&format!("ipfs://{V1}/a.txt"), "a path follows"),
        (&format!("/ipns/{V1}"), "IPNS"),
    ] {
        for command in ["get", "rm"] {
            let refusal = refused([command, &store.name(), text]);
            assert!(refusal.status == 2 && refusal.error.contains(reason), "{text}: {refusal:?}");
        }
        let line = store.write("bad.jsonl", json!({"cid": text, "text": "impostor"}).to_string());
        let refusal = refused(["index", &store.name(), &line]);
        assert!(refusal.error.contains("line 1: cid: ") && refusal.error.contains(reason), "{text}: {refusal:?}");
    }
    assert_eq!(json(["get", &store.name(), V1, "--json"])["text"], "genuine");
}
