use std::path::Path;

use fjall::{KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use redb::{ReadableDatabase, TableDefinition};

/// What the backend needs from a store: reads, removals, and batches that are durable when the call
/// returns.
pub trait Store {
    fn put(&mut self, batch: &[(u64, &[u8])]);
    fn get(&self, key: u64) -> Option<usize>;
    fn remove(&mut self, keys: &[u64]);
    fn compact(&mut self);
}

pub fn open(kind: &str, folder: &Path) -> Box<dyn Store> {
    match kind {
        "redb" => Box::new(Redb::open(folder, false)),
        "redb-quick-repair" => Box::new(Redb::open(folder, true)),
        "fjall" => Box::new(Fjall::open(folder, None)),
        "fjall-separated" => {
            let options = KvSeparationOptions::default().separation_threshold(16 << 10);
            Box::new(Fjall::open(folder, Some(options.age_cutoff(1.0).staleness_threshold(0.25))))
        }
        _ => panic!("no store {kind}"),
    }
}

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("values");

struct Redb {
    database: redb::Database,
    quick_repair: bool,
}

impl Redb {
    /// Without `quick_repair`, opening after a kill walks the whole file; with it, every commit
    /// writes twice.
    fn open(folder: &Path, quick_repair: bool) -> Self {
        let database = redb::Database::builder().create(folder.join("store.redb")).expect("redb opens");
        Self { database, quick_repair }
    }

    fn write(&self, act: impl FnOnce(&mut redb::Table<'_, u64, &[u8]>)) {
        let mut transaction = self.database.begin_write().expect("a transaction");
        transaction.set_quick_repair(self.quick_repair);
        act(&mut transaction.open_table(TABLE).expect("the table"));
        transaction.commit().expect("a commit");
    }
}

impl Store for Redb {
    fn put(&mut self, batch: &[(u64, &[u8])]) {
        self.write(|table| {
            for (key, value) in batch {
                table.insert(key, value).expect("an insert");
            }
        });
    }

    fn get(&self, key: u64) -> Option<usize> {
        let transaction = self.database.begin_read().expect("a transaction");
        let table = transaction.open_table(TABLE).expect("the table");
        table.get(key).expect("a read").map(|value| value.value().to_vec().len())
    }

    fn remove(&mut self, keys: &[u64]) {
        self.write(|table| {
            for key in keys {
                table.remove(key).expect("a removal");
            }
        });
    }

    fn compact(&mut self) {
        self.database.compact().expect("a compaction");
    }
}

struct Fjall {
    database: fjall::Database,
    values: fjall::Keyspace,
}

impl Fjall {
    fn open(folder: &Path, separation: Option<KvSeparationOptions>) -> Self {
        let database = fjall::Database::builder(folder.join("store.fjall")).open().expect("fjall opens");
        let options = || KeyspaceCreateOptions::default().with_kv_separation(separation);
        let values = database.keyspace("values", options).expect("the keyspace");
        Self { database, values }
    }
}

impl Store for Fjall {
    fn put(&mut self, batch: &[(u64, &[u8])]) {
        let mut write = self.database.batch().durability(Some(PersistMode::SyncAll));
        for (key, value) in batch {
            write.insert(&self.values, key.to_be_bytes(), *value);
        }
        write.commit().expect("a commit");
    }

    fn get(&self, key: u64) -> Option<usize> {
        self.values.get(key.to_be_bytes()).expect("a read").map(|value| value.to_vec().len())
    }

    fn remove(&mut self, keys: &[u64]) {
        let mut write = self.database.batch().durability(Some(PersistMode::SyncAll));
        for key in keys {
            write.remove(&self.values, key.to_be_bytes());
        }
        write.commit().expect("a commit");
    }

    fn compact(&mut self) {
        self.values.rotate_memtable_and_wait().expect("a flush");
        self.values.major_compact().expect("a compaction");
    }
}
