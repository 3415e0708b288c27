//! Servers of others, as processes that can be stopped by a signal and killed.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// Who hears what a server prints.
type Hears = Arc<dyn Fn(&str) + Send + Sync>;

/// A server in a process of its own, killed on drop.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts `command` and waits until it prints the `http://<address>` it listens on.
    pub(crate) fn start(command: Command) -> Self {
        Self::start_heard(command, |_| ())
    }

    /// The same with somebody who hears of every line that it prints.
    pub(crate) fn start_heard(
        mut command: Command,
        hears: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let hears: Hears = Arc::new(hears);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (lines, said) = channel();
        pass_on(
            child.stdout.take().unwrap(),
            lines.clone(),
            Arc::clone(&hears),
        );
        pass_on(child.stderr.take().unwrap(), lines, hears);
        let mut output = String::new();
        loop {
            match said.recv_timeout(Duration::from_mins(1)) {
                Ok(line) => match announced(&line) {
                    Some(address) => return Self { child, address },
                    None => output = output + &line + "\n",
                },
                Err(error) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    panic!("{command:?} did not come up ({error}):\n{output}");
                }
            }
        }
    }

    /// Sends a signal such as `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(sent.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads to the end, so that the server never waits for a full pipe.
fn pass_on(output: impl Read + Send + 'static, lines: Sender<String>, hears: Hears) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            hears(&line);
            let _ = lines.send(line);
        }
    });
}

fn announced(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    rest.split_whitespace().next()?.parse().ok()
}
