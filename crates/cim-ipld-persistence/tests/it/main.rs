//! Tests of the engine on every backend: acknowledged writes are present, in order, after restarts,
//! crashes and faults.

mod analyzers;
mod archives;
mod archives_kept;
mod archives_refused;
mod breaks;
mod breaks_of_keys;
mod cost;
mod cost_of_many;
mod crash;
mod destruction;
mod errors;
mod exactness;
mod fixtures;
mod garbage;
mod garbage_of_others;
mod hand;
mod keyless;
mod lifecycle;
mod lost;
mod merged_away;
mod pins;
mod races;
mod recovery;
mod repair;
mod repair_from_archives;
mod rotation;
mod searches;
mod server;
mod several;
mod snapshots;
mod staged;
mod support;
mod unlucky;
mod verify;
mod writers;
