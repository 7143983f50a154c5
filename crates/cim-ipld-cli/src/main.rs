//! `cim`: index, search and manage encrypted cim-ipld stores.
//!
//! The exit status is the kind of failure. Errors are printed to standard error as two lines,
//! `error: …` with what happened and `hint: …` with what to do, or as one JSON object.

mod args;
mod commands;
mod context;
mod document_json;
mod failure;
mod file_records;
mod follower;
mod input;
mod keys;
mod nats;
mod output;
mod path;
mod pins;
mod place;
mod progress;
mod secrets;
mod shown;
mod status;
mod store;
mod store_name;
mod usage;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Arguments;
use crate::context::Context;
use crate::failure::{Failure, Result};

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(stop_at_bug));
    failure::choose_form(std::env::args_os().skip(1));
    match Arguments::try_parse() {
        Ok(arguments) => report(run(arguments)),
        Err(error) if !error.use_stderr() => {
            // Help or version was requested. A closed pipe is not an error.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        Err(error) => report(Err(usage::failure(&error))),
    }
}

fn run(arguments: Arguments) -> Result<()> {
    output::start_log()?;
    let context = Context::new(&arguments.global)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)))
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the program cannot start: {error}"), "free memory or threads"))?;
    let done = runtime.block_on(async {
        report_file_size_limit();
        commands::run(arguments.command, &context).await
    });
    // A thread blocked on standard input must not delay the exit.
    runtime.shutdown_background();
    done
}

/// Makes a write beyond the limit on the size of files (`ulimit -f`) fail like one to a full disk.
/// Without a handler, the signal ends the program without a message.
fn report_file_size_limit() {
    #[cfg(target_os = "linux")]
    {
        const SIGXFSZ: i32 = 25;
        // The handler remains installed when the stream of signals is dropped.
        let _ = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(SIGXFSZ));
    }
}

/// Exits the program on a panic in any thread. The panic message is not printed, because it may
/// quote indexed content. Acknowledged writes are durable whenever the program exits.
fn stop_at_bug(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(String::new, |location| format!(" at {location}"));
    Failure::new(format!("the program has a bug{place}"), "report this line, and describe what you did").print();
    std::process::exit(1);
}

fn report(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit_code()
        }
    }
}
