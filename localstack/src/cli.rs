//! The command line of `tenfold`.

mod jobs;
mod start;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use http::Method;

use crate::dev::{self, ControlFile};
use crate::instances::Functions;
use crate::services::{self, Storage};
use crate::stack::{Options, default_data};
use crate::{files, logs, loopback, terminal, tour};

/// Runs the whole of Tenfold on this machine.
///
/// Without a command it starts the stack and serves until Ctrl-C. Everything listens on 127.0.0.1 only; the data is
/// kept in .tenfold/, with the addresses and the demo credentials in .tenfold/dev.json.
#[derive(Debug, Parser)]
#[command(name = "tenfold", version)]
struct Cli {
    /// The stack's data [default: .tenfold in the workspace].
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    #[command(flatten)]
    start: StartArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Walk through what works, against the running stack, or against one started for it.
    ///
    /// Exits with 1 when a step fails.
    Tour,
    /// Delete the local data: tables, queues, database, demo credentials. The Python environment stays.
    Reset,
    /// Invoke a function of the running stack with an event, and print its answer.
    ///
    /// An API key is made by: invoke platform.keys '{"name": "mine"}'
    Invoke {
        /// The function's name (platform.keys).
        function: String,
        /// The event: JSON of a few kilobytes at most.
        #[arg(default_value = "null")]
        event: String,
    },
    /// Fire a schedule of the running stack now, and wait for its function.
    Tick {
        /// The schedule's name in template.yaml, or its function's (platform.scheduler).
        name: String,
    },
    /// Print the variables that a function of the running stack has, as a file for `cargo lambda watch --env-file`.
    ///
    /// They name this stack's tables, queues and endpoints. Some are secrets of this stack.
    Environment {
        /// The function's name (links.redirect).
        function: String,
    },
    /// Look at the jobs of the demo tenant.
    #[command(subcommand)]
    Jobs(JobsCommand),
}

#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// Show the progress of jobs until they have ended. Exits with 1 when one did not succeed.
    Watch {
        /// The jobs' ids. Without any, the newest that have not ended.
        ids: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct StartArguments {
    /// The port to serve on; 0 takes any free one.
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// Keep the data in a temporary folder that is deleted at the end.
    #[arg(long, conflicts_with = "data")]
    ephemeral: bool,
    /// Hold each function to what its policies in template.yaml allow, as AWS does. Slower.
    #[arg(long, conflicts_with = "aws_endpoint")]
    policies: bool,
    /// Use these AWS APIs instead of starting some.
    #[arg(long, value_name = "URL")]
    aws_endpoint: Option<String>,
    /// Use this Postgres database instead of starting one.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Use this Redis or Valkey instead of starting one.
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
    /// Print nothing for each request.
    #[arg(long)]
    quiet: bool,
}

impl Cli {
    /// Reads the command line. What a stack is started with is for no command; `--data` is for both, and stands anywhere.
    fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut known = Self::command();
        let given = known.try_get_matches_from_mut(words)?;
        let cli = Self::from_arg_matches(&given)?;
        let is_given =
            |argument: &&Arg| given.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine);
        let mut for_starting = known.get_arguments().filter(|argument| !argument.is_global_set());
        match for_starting.find(is_given).filter(|_| cli.command.is_some()) {
            None => Ok(cli),
            Some(argument) => {
                let detail = format!("'{argument}' is for starting a stack, and goes with no command");
                Err(Self::command().error(ErrorKind::ArgumentConflict, detail))
            }
        }
    }

    fn folder(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(default_data)
    }
}

impl StartArguments {
    fn options(&self, functions: Functions, data: PathBuf) -> Options {
        let storage = if self.ephemeral { Storage::Ephemeral } else { Storage::Kept(data) };
        let mut options = Options::of(functions, storage, self.port);
        options.services.policies = self.policies;
        options.services.aws_endpoint.clone_from(&self.aws_endpoint);
        options.services.database_url.clone_from(&self.database_url);
        options.services.redis_url.clone_from(&self.redis_url);
        options
    }
}

/// Runs the program, whose stacks run `functions`.
pub fn main(functions: Functions) -> ExitCode {
    let cli = Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    logs::collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::complain(&format!("error: the async runtime did not start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli, functions)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli, functions: Functions) -> anyhow::Result<()> {
    let data = cli.folder();
    match cli.command {
        None => Box::pin(start::run(cli.start.options(functions, data), cli.start.quiet)).await,
        Some(Command::Tour) => Box::pin(tour::run(functions, &data)).await,
        Some(Command::Reset) => reset(&data),
        Some(Command::Tick { name }) => {
            control(&data, &format!("tick/{}", encoded(&name))).await?;
            terminal::say("done");
            Ok(())
        }
        Some(Command::Environment { function }) => {
            let variables = control(&data, &format!("environment/{}", encoded(&function))).await?;
            for (name, value) in variables.as_object().into_iter().flatten() {
                terminal::say(&format!("{name}={}", value.as_str().unwrap_or_default()));
            }
            Ok(())
        }
        Some(Command::Jobs(JobsCommand::Watch { ids })) => Box::pin(jobs::watch(&data, ids)).await,
        Some(Command::Invoke { function, event }) => {
            let path = format!("invoke/{}?{}", encoded(&function), encoded(&event));
            terminal::say(&control(&data, &path).await?.to_string());
            Ok(())
        }
    }
}

fn reset(data: &std::path::Path) -> anyhow::Result<()> {
    if !services::remove(data)? {
        terminal::say(&format!("There is no stack's data in {}.", data.display()));
        return Ok(());
    }
    for name in [dev::DEV, dev::CONTROL, dev::CREDENTIALS, "streams", "mail"] {
        let path = data.join(name);
        files::remove(&path).with_context(|| format!("cannot delete {}", path.display()))?;
    }
    terminal::say(&format!("The data in {} is deleted.", data.display()));
    Ok(())
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).collect()
}

/// Has the running stack do what is at `path` below its control endpoints, and returns its answer.
async fn control(data: &std::path::Path, path: &str) -> anyhow::Result<serde_json::Value> {
    let file = data.join(dev::CONTROL);
    let control: Option<ControlFile> = dev::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let Some(control) = control else { bail!("no stack is running on {}", data.display()) };
    let path = format!("{}{path}", crate::gateway::CONTROL_PREFIX);
    let reply = loopback::send(Method::POST, &control.url, &path, Some(&control.token), None).await;
    let reply = reply.with_context(|| format!("no stack answers on {}", control.url))?;
    let answer = reply.json();
    if !reply.status.is_success() {
        bail!("{}", answer.get("message").and_then(serde_json::Value::as_str).unwrap_or("it failed"));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(line: &str) -> Result<Cli, ErrorKind> {
        Cli::read(line.split(' ').map(OsString::from)).map_err(|error| error.kind())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
        let cli = read("tenfold --port 9100 --ephemeral --quiet").unwrap();
        let options = cli.start.options(&[], cli.folder());
        assert_eq!((options.port, options.services.storage), (9100, Storage::Ephemeral));
        assert_eq!(read("tenfold --ephemeral --data x").unwrap_err(), ErrorKind::ArgumentConflict);
        assert!(matches!(read("tenfold tick a.b").unwrap().command, Some(Command::Tick { .. })));
    }

    #[test]
    fn the_data_is_named_before_a_command_or_after_it() {
        for line in
            ["tenfold --data x reset", "tenfold reset --data x", "tenfold --data x", "tenfold --data x jobs watch"]
        {
            assert_eq!(read(line).unwrap().folder(), PathBuf::from("x"), "{line}");
        }
        assert_eq!(read("tenfold reset").unwrap().folder(), default_data());
    }

    #[test]
    fn what_a_stack_is_started_with_goes_with_no_command() {
        for line in ["tenfold --port 1 reset", "tenfold --quiet tick a.b", "tenfold --ephemeral --port 1 tour"] {
            assert_eq!(read(line).unwrap_err(), ErrorKind::ArgumentConflict, "{line}");
        }
        assert_eq!(read("tenfold reset --port 1").unwrap_err(), ErrorKind::UnknownArgument);
    }
}
