//! Writes the segment with which later versions prove that they can still read what this version
//! writes: `cargo run -p cim-ipld-index --example write_fixture`. Existing fixtures are not
//! overwritten.

mod documents;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use cim_ipld_index::{Analyzer, Deletes, Memtable, PageId, PageMap, PageSource, SegmentId, build_segment};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut memtable = Memtable::new(Analyzer::default());
    for n in 0..documents::DOCUMENTS {
        memtable.insert(&documents::document(n))?;
    }
    let (id, mut pages) = (SegmentId([7; 16]), PageMap::new());
    let summary = build_segment(&memtable.view(), &Deletes::new(), &mut pages.sink(id))?;

    let name = format!("tests/fixtures/{}.pages", env!("CARGO_PKG_VERSION"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    for (class, count) in summary.pages {
        for ordinal in 0..count {
            let page = pages.page(id, PageId::new(class, ordinal)).ok_or("a page that was built is gone")?;
            file.write_all(&[class.code()])?;
            file.write_all(&ordinal.to_le_bytes())?;
            file.write_all(&u32::try_from(page.len())?.to_le_bytes())?;
            file.write_all(&page)?;
        }
    }
    println!("{} of {} bytes", path.display(), summary.bytes);
    Ok(())
}
