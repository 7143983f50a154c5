//! Tests of the embedded backend on real folders.

mod conformance;
mod damage;
mod fences;
#[cfg(target_os = "linux")]
mod full;
mod hostile;
mod kill;
mod opening;
mod space;
