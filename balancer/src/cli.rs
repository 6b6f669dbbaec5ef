//! The command line: `muster run`, `muster check`, `muster config show`, and what operators ask a
//! running balancer for (`client`).
//!
//! Answers go to standard output, faults to standard error; the exit code is 0 or 1, 2 where the
//! command line itself is at fault, and 3 or 4 after waiting for a drain in vain.

mod papers;
mod password;

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use crate::client;
use crate::cluster;
use crate::config::{Config, Fault, Faults};
use crate::reload::Again;
use crate::{doctor, manager, mcmp, support, tls, upgrade};

/// What `muster run` does with a good configuration.
pub type Serve = fn(Config, Again) -> anyhow::Result<()>;

/// An edge proxy whose nodes register themselves over MCMP.
#[derive(Debug, Parser)]
#[command(name = "muster", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Carry traffic until SIGTERM
    Run(Run),
    /// Let a new process, of the program's file as it is now, take over from a running one; the old
    /// one's log says what came of it
    Upgrade {
        /// The running process
        #[arg(value_name = "PID")]
        pid: u32,
    },
    /// Say what is wrong with a configuration file: every fault, with its line
    Check {
        /// The file
        file: PathBuf,
    },
    /// Say what is wrong with this machine, the configuration and the running balancer, and what to
    /// do: exit code 0 for nothing, 3 for warnings only, 1 for faults
    Doctor(doctor::Options),
    /// Gather into one file what a helper needs to see, secrets masked
    Support(support::Options),
    /// Print the completions of a shell
    Completions(papers::Completions),
    /// Print the man page, or write one for each command
    Man(papers::Man),
    /// Work on the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print the hash of a password, for a [[manager.user]]; reads it from standard input
    Password,
    /// Print a new token for a tool and its hash, for a [[manager.token]]
    Token,
    #[command(flatten)]
    Ask(client::Ask),
}

#[derive(Debug, Args)]
struct Run {
    /// The configuration file; without it, loopback addresses and defaults
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where browsers connect, instead of http.listen
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Where nodes register, instead of mcmp.listen
    #[arg(long, value_name = "ADDR")]
    mcmp: Option<SocketAddr>,
    /// Where operators look, instead of manager.listen
    #[arg(long, value_name = "ADDR")]
    manager: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the configuration in effect: every key, defaults included
    Show {
        /// The configuration file; without it, the defaults
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print the JSON schema of the configuration file, for editors
    Schema,
}

/// What a configuration file may say, as a JSON schema; written from the code by its test.
const SCHEMA: &str = include_str!("../muster.schema.json");

/// Does what the command line asks for. `args` begins with the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>, serve: Serve) -> ExitCode {
    match Cli::try_parse_from(args) {
        Ok(cli) => answer(execute(cli.command, &mut io::stdout(), serve)),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

fn answer(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<doctor::Ill>() => error
            .downcast_ref()
            .map_or(ExitCode::FAILURE, |ill: &doctor::Ill| ill.exit_code().into()),
        // Faults name file and line in each of their lines: nothing stands before them.
        Err(error) if error.is::<Faults>() => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("muster: {error:#}");
            error
                .downcast_ref::<client::Ended>()
                .map_or(ExitCode::FAILURE, |ended| ended.code.into())
        }
    }
}

fn execute(command: Command, out: &mut dyn Write, serve: Serve) -> anyhow::Result<()> {
    match command {
        Command::Ask(ask) => client::run(ask, out),
        Command::Run(run) => {
            let config = run.config()?;
            serve(config, Arc::new(move || run.config()))
        }
        Command::Upgrade { pid } => Ok(upgrade::ask(pid)?),
        Command::Check { file } => {
            let config = Config::read(&file)?;
            check_files(&config, &file)?;
            Ok(writeln!(out, "{}: good", file.display())?)
        }
        Command::Doctor(options) => doctor::run(&options, out),
        Command::Completions(options) => papers::completions(&options, out),
        Command::Man(options) => papers::man(&options, out),
        Command::Support(options) => support::run(&options, out),
        Command::Config { command: ConfigCommand::Schema } => Ok(out.write_all(SCHEMA.as_bytes())?),
        Command::Password => {
            let password = password::read()?;
            let hash = manager::password::hash(&password).map_err(anyhow::Error::msg)?;
            Ok(writeln!(out, "{hash}")?)
        }
        Command::Token => {
            let (token, hash) = manager::who::token();
            Ok(writeln!(out, "token = {token}\nhash = \"{hash}\"")?)
        }
        Command::Config { command: ConfigCommand::Show { config } } => {
            Ok(write!(out, "{}", read(config.as_deref())?.to_toml())?)
        }
    }
}

/// Names all certificates, keys and secrets that cannot be used.
fn check_files(config: &Config, file: &Path) -> Result<(), Faults> {
    let fault = |error: anyhow::Error| Fault {
        file: file.display().to_string(),
        line: None,
        // It stands in the text, as the log tells it at a start.
        key: String::new(),
        message: format!("{error:#}"),
    };
    let tls = tls::faults(config).into_iter().map(anyhow::Error::from);
    let secrets = mcmp::secrets::load(&config.mcmp).err().map(anyhow::Error::from);
    let key = config.advertise.key().err().map(anyhow::Error::from);
    let cluster = cluster::check(config).err().map(anyhow::Error::msg);
    Faults::check(tls.chain(secrets).chain(key).chain(cluster).map(fault).collect())
}

fn read(file: Option<&Path>) -> Result<Config, Faults> {
    file.map_or_else(|| Ok(Config::default()), Config::read)
}

// === impl Run ===

impl Run {
    /// The file's configuration, where an address of the command line takes its listener's place.
    fn config(&self) -> Result<Config, Faults> {
        let mut config = read(self.config.as_deref())?;
        let listeners = [
            (self.http, &mut config.http.listen),
            (self.mcmp, &mut config.mcmp.listen),
            (self.manager, &mut config.manager.listen),
        ];
        for (address, listen) in listeners {
            if let Some(address) = address {
                *listen = vec![address];
            }
        }
        config.check("command line")?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(args: &[&str]) -> Result<String, String> {
        let args = ["muster"].iter().chain(args);
        let cli = Cli::try_parse_from(args).map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        let serve: Serve = |config, _| anyhow::bail!("http is {:?}", config.http.listen);
        execute(cli.command, &mut out, serve).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn a_good_file_is_called_good() {
        let file = file("[http]\nlisten = [\"127.0.0.1:0\"]\n");
        let path = file.path().to_str().unwrap();
        assert_eq!(said(&["check", path]), Ok(format!("{path}: good\n")));
    }

    #[test]
    fn a_bad_file_is_answered_with_every_fault() {
        let file = file("threads = 0\n[http]\nlisten = [\"x\"]\n");
        let path = file.path().to_str().unwrap();
        let faults = said(&["check", path]).unwrap_err();
        assert_eq!(
            faults,
            format!(
                "{path}:1: threads: 0 is out of bounds: 1 to 1024\n\
                 {path}:3: http.listen: \"x\" is no address (ip:port)"
            )
        );
        assert_eq!(said(&["run", "-c", path]).unwrap_err(), faults);
        let missing = said(&["check", "/nowhere/muster.toml"]).unwrap_err();
        assert!(missing.starts_with("/nowhere/muster.toml: No such file"), "{missing}");
    }

    #[test]
    fn a_file_whose_certificates_cannot_be_used_is_answered_with_every_one() {
        let file = file(
            "[tls]\nlisten = [\"127.0.0.1:0\"]\n\
             certificates = [{ chain = \"/no/a\", key = \"/no/b\" },\
             { chain = \"/no/c\", key = \"/no/d\" }]\n[upstream.tls]\nca = \"/no/e\"\n",
        );
        let path = file.path().to_str().unwrap();
        let faults = said(&["check", path]).unwrap_err();
        let named = [
            ("upstream.tls.ca", "/no/e"),
            ("tls.certificates[0].chain", "/no/a"),
            ("tls.certificates[1].chain", "/no/c"),
        ];
        assert_eq!(faults.lines().count(), named.len(), "{faults}");
        for (line, (key, named)) in faults.lines().zip(named) {
            assert!(
                line.starts_with(&format!("{path}: {key}: cannot read {named}: No such")),
                "{line}"
            );
        }
    }

    #[test]
    fn the_configuration_in_effect_can_be_read_again() {
        let shown = said(&["config", "show"]).unwrap();
        assert_eq!(Config::parse(&shown, "shown"), Ok(Config::default()));
        let file = file("[mcmp]\nuse_alias = true\n");
        let shown = said(&["config", "show", "-c", file.path().to_str().unwrap()]).unwrap();
        assert!(shown.contains("use_alias = true"), "{shown}");
    }

    #[test]
    fn a_token_comes_with_the_hash_that_the_configuration_takes() {
        let said = said(&["token"]).unwrap();
        let hash = said.lines().nth(1).unwrap();
        let text = format!("[[manager.token]]\nname = \"ci\"\n{hash}\n");
        let config = Config::parse(&text, "muster.toml").unwrap();
        let shown = config.to_toml();
        assert!(shown.contains("********") && !shown.contains(&hash[8..20]), "{shown}");
    }

    #[test]
    fn a_manager_that_others_reach_needs_operators_who_log_in() {
        let refused = said(&["run", "--manager", "0.0.0.0:0"]).unwrap_err();
        for named in ["manager.listen", "[[manager.user]]", "manager.tls", "client_ca"] {
            assert!(refused.contains(named), "{named} is missing in {refused}");
        }
        let hash = manager::password::hash("secret").unwrap();
        let user = format!("[[manager.user]]\nname = \"anna\"\npassword = \"{hash}\"\n");
        let file = file(&format!("[manager]\nlisten = [\"0.0.0.0:0\"]\n{user}"));
        assert!(said(&["check", file.path().to_str().unwrap()]).is_ok());
    }

    #[test]
    fn an_address_of_the_command_line_takes_its_listeners_place() {
        assert_eq!(said(&["run", "--http", "127.0.0.1:0"]), Err("http is [127.0.0.1:0]".into()));
        let taken = said(&["run", "--http", "127.0.0.1:6666"]).unwrap_err();
        assert_eq!(
            taken,
            "command line: mcmp.listen: 127.0.0.1:6666 is taken by http.listen, 127.0.0.1:6666"
        );
        assert!(said(&["run", "--http", "x"]).unwrap_err().contains("--http"));
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
