//! What can happen to a process.

use std::io;

use rustix::process::{Pid, Signal, kill_process};

/// A signal, by what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGTERM: asked to end, may do it gracefully.
    Terminate,
    /// SIGKILL: dead at once, sends nothing.
    Kill,
    /// SIGSTOP: alive, its sockets open, and silent.
    Freeze,
    /// SIGHUP: no harm; asked to read its files again.
    HangUp,
    /// SIGUSR2: no harm; asked to let a new process take over.
    Succeed,
    /// SIGCONT: goes on after [`Fault::Freeze`].
    Thaw,
}

impl Fault {
    fn signal(self) -> Signal {
        match self {
            Fault::Terminate => Signal::TERM,
            Fault::Kill => Signal::KILL,
            Fault::Freeze => Signal::STOP,
            Fault::HangUp => Signal::HUP,
            Fault::Succeed => Signal::USR2,
            Fault::Thaw => Signal::CONT,
        }
    }
}

/// Lets it happen to a process.
///
/// # Errors
/// When there is no such process any more.
pub fn inflict(fault: Fault, pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(kill_process(pid, fault.signal())?)
}
