//! The server is killed and restarted while an engine writes.

use std::sync::Arc;
use std::time::Duration;

use cim_ipld_backend::Backend;
use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};
use cim_ipld_nats::NatsBackend;
use cim_ipld_persistence::{Engine, IndexName, Settings};

use crate::support::{document, encrypted, open, total};

const ROUNDS: u32 = 3;
const DOCUMENTS: u32 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn persistence_survives_kills_of_the_nats_server() {
    let mut server = NatsServer::start(ServerOptions::default());
    let backend: Arc<dyn Backend> = Arc::new(NatsBackend::connect(&server.url()).await.expect("connected"));
    let (name, settings) = (IndexName::default(), Settings::default());
    let engine = Engine::create(backend, &name, encrypted(), settings).await.expect("created");
    for round in 0..ROUNDS {
        let numbers = round * DOCUMENTS..(round + 1) * DOCUMENTS;
        let writing = tokio::spawn({
            let (engine, numbers) = (engine.clone(), numbers.clone());
            async move {
                for number in numbers {
                    // The write is retried during the outage, and unknown outcomes are resolved by
                    // reading back.
                    engine.index(&[document(number, 0)]).await.expect("indexed");
                    if number % 16 == 15 {
                        engine.fold().await.expect("folded");
                    }
                }
            }
        });
        let some = u64::from(numbers.start + 5 + 13 * round);
        let reached = async {
            while total(&engine, "shared").await < some {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reached).await.expect("writes continue");
        server.kill();
        server.restart();
        writing.await.expect("every write succeeded");
        assert_eq!(total(&engine, "shared").await, u64::from(numbers.end));
    }
    let elsewhere: Arc<dyn Backend> = Arc::new(NatsBackend::connect(&server.url()).await.expect("connected"));
    let reopened = open(&elsewhere).await;
    assert_eq!(total(&reopened, "shared").await, u64::from(ROUNDS * DOCUMENTS));
    for engine in [&engine, &reopened] {
        let report = engine.verify().await.expect("verified");
        assert!(report.is_sound(), "{:?}", report.problems);
        assert_eq!(report.documents, u64::from(ROUNDS * DOCUMENTS));
    }
}
