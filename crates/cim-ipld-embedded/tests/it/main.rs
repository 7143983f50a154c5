//! Tests of the embedded backend on real folders.

mod conformance;
mod damage;
mod fences;
mod kill;
mod opening;
mod space;
