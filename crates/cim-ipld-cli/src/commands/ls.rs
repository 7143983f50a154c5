use std::collections::BTreeMap;

use cim_ipld::persistence::IndexName;
use serde_json::{Value, json};

use crate::args::LsArguments;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{print, print_json};

pub(crate) async fn run(arguments: LsArguments, context: &Context) -> Result<()> {
    let place = arguments.store.place(&arguments.nats)?;
    if place.index() != IndexName::default() {
        let hint = "leave out the name of the index; the command lists all of them";
        return Err(Failure::usage("STORE names one index", hint));
    }
    let mut indexes: BTreeMap<IndexName, usize> = BTreeMap::new();
    for bucket in place.bucket_names(&arguments.nats, context).await? {
        if let Some(index) = IndexName::of_bucket(&bucket) {
            *indexes.entry(index).or_default() += 1;
        }
    }
    let all = IndexName::default().buckets().len();
    if context.json {
        let of = |(index, buckets): (&IndexName, &usize)| -> Value {
            let store = place.with_index(index).map(|place| place.to_string());
            json!({ "name": index.as_str(), "store": store, "complete": *buckets == all })
        };
        let indexes: Vec<Value> = indexes.iter().map(of).collect();
        return print_json(&json!({ "indexes": indexes }));
    }
    let line = |(index, buckets): (&IndexName, &usize)| {
        let shown = place.with_index(index).map_or_else(
            || format!("{place}: index {}", index.as_str().unwrap_or_default()),
            |place| place.to_string(),
        );
        let incomplete =
            if *buckets < all { format!(" (incomplete: {buckets} of {all} buckets)") } else { String::new() };
        format!("{shown}{incomplete}\n")
    };
    print(&indexes.iter().map(line).collect::<String>())
}
