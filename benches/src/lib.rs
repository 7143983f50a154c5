//! Benchmarks of cim-ipld; each runs with `cargo bench --bench NAME`.
