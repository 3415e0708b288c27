//! What slimspan asks of the system, as strace tells it: the files that it opens and changes, whom it connects to, and
//! what it starts.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use tokio::process::Command;

use super::slimspan::alone;
use super::tools::cannot_be_had;

/// No system has all of them.
const ASKED: &str = "trace=?open,?openat,?openat2,?creat,?truncate,?unlink,?unlinkat,?rmdir,?mkdir,?mkdirat,?rename,\
    ?renameat,?renameat2,?link,?linkat,?symlink,?symlinkat,?mknod,?mknodat,connect,execve,?execveat";

/// What stands in an argument of an `open` that may change a file.
const FOR_WRITING: [&str; 6] = [
    "O_WRONLY",
    "O_RDWR",
    "O_CREAT",
    "O_TRUNC",
    "O_APPEND",
    "O_TMPFILE",
];

/// A call as it was made, whatever came of it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    arguments: Vec<String>,
}

/// Whether calls can be seen here. Where `install.sh` could have had strace, a test without it fails in CI.
pub(crate) fn are_seen() -> bool {
    let mut strace = std::process::Command::new("strace");
    let tried = strace
        .args(["-D", "-f", "-y", "-qq", "-e", ASKED, "-o", "/dev/null"])
        .arg("true")
        .output();
    let why = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    if cannot_be_had("strace") {
        return false;
    }
    let told = format!("strace does not work here ({why}): run tests/tools/install.sh");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{told}");
    eprintln!("SKIPPED: {told}");
    false
}

/// The program, with its calls written into a file. The process is its own, and strace one beside it, so signals for
/// the program reach the program.
pub(crate) fn traced(file: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace
        .args(["-D", "-f", "-y", "-qq", "-e", ASKED, "-o"])
        .arg(file)
        .arg(env!("CARGO_BIN_EXE_slimspan"));
    alone(strace)
}

/// The calls in such a file, in their order.
pub(crate) fn read(file: &Path) -> Vec<Call> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().filter_map(Call::read).collect()
}

impl Call {
    /// A line is `PID name(argument, …) = outcome`, or `PID name(argument, … <unfinished ...>`. What a call is made
    /// with is told before its outcome, so the rest of the second, the signals and the ends are left out.
    fn read(line: &str) -> Option<Self> {
        let (_, call) = line.split_once(' ')?;
        let (name, rest) = call.trim_start().split_once('(')?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        name.chars().all(is_name).then(|| Self {
            name: name.to_owned(),
            arguments: arguments(rest),
        })
    }

    /// The files that it names. Relative ones are below `folder`, in which the program runs, unless the call says
    /// below what else.
    pub(crate) fn files(&self, folder: &Path) -> Vec<PathBuf> {
        let (mut files, mut below) = (Vec::new(), folder.to_owned());
        for argument in &self.arguments {
            if let Some(path) = quoted(argument) {
                files.push(plain(&below.join(path)));
                folder.clone_into(&mut below);
            } else if let Some((_, path)) = argument.split_once('<') {
                // A descriptor, with where it leads.
                below = path.trim_end_matches('>').into();
            }
        }
        files
    }

    /// Whether it may have changed one.
    pub(crate) fn changes_files(&self) -> bool {
        match self.name.as_str() {
            "connect" | "execve" | "execveat" => false,
            "open" | "openat" | "openat2" => {
                let mut arguments = self.arguments.iter();
                arguments.any(|argument| {
                    quoted(argument).is_none()
                        && FOR_WRITING.iter().any(|flag| argument.contains(flag))
                })
            }
            _ => true,
        }
    }

    /// Whether it opens one.
    pub(crate) fn opens_files(&self) -> bool {
        matches!(self.name.as_str(), "open" | "openat" | "openat2" | "creat")
    }

    /// Whether it connects to this address.
    pub(crate) fn leads_to(&self, peer: SocketAddr) -> bool {
        let address = format!(
            "sin_port=htons({}), sin_addr=inet_addr(\"{}\")",
            peer.port(),
            peer.ip()
        );
        let mut arguments = self.arguments.iter();
        self.name == "connect" && arguments.any(|argument| argument.contains(&address))
    }
}

/// What stands between commas, but for those within something.
fn arguments(text: &str) -> Vec<String> {
    let mut arguments = vec![String::new()];
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for c in text.chars() {
        if is_text {
            (is_text, is_escaped) = (is_escaped || c != '"', !is_escaped && c == '\\');
        } else {
            match c {
                '"' => is_text = true,
                '{' | '[' | '(' => depth += 1,
                ')' if depth == 0 => break,
                '}' | ']' | ')' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    arguments.push(String::new());
                    continue;
                }
                _ => {}
            }
        }
        if let Some(argument) = arguments.last_mut() {
            argument.push(c);
        }
    }
    let trimmed = arguments.iter().map(|argument| argument.trim().to_owned());
    trimmed.collect()
}

/// The text of an argument that is one.
fn quoted(argument: &str) -> Option<&str> {
    let (text, _) = argument.strip_prefix('"')?.rsplit_once('"')?;
    Some(text)
}

/// A path without ways back.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[test]
fn lines_of_strace_are_read() {
    let text = r#"7 execve("/bin/slimspan", ["/bin/slimspan", "a\", b"], 0x7ffe /* 3 vars */) = 0
7 openat(AT_FDCWD</home>, "a,b.txt", O_WRONLY|O_CREAT|O_CLOEXEC, 0666) = 3</home/a,b.txt>
8 openat(AT_FDCWD</home>, "/etc/hosts", O_RDONLY|O_CLOEXEC <unfinished ...>
8 <... openat resumed>)             = 4</etc/hosts>
8 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=1, si_uid=0} ---
8 unlinkat(3</home/x>, "../e", 0) = 0
9 rename("a", "/tmp/b")          = 0
9 connect(3<socket:[8247070]>, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 ECONNREFUSED (Connection refused)
9 +++ exited with 0 +++"#;
    let calls: Vec<Call> = text.lines().filter_map(Call::read).collect();
    let home = Path::new("/home/of/slimspan");
    let told: Vec<_> = calls
        .iter()
        .map(|call| {
            let files = call.files(home);
            let files: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
            (call.name.as_str(), call.changes_files(), files.join(" "))
        })
        .collect();
    let expected = [
        ("execve", false, "/bin/slimspan"),
        ("openat", true, "/home/a,b.txt"),
        ("openat", false, "/etc/hosts"),
        ("unlinkat", true, "/home/e"),
        ("rename", true, "/home/of/slimspan/a /tmp/b"),
        ("connect", false, ""),
    ];
    let expected = expected.map(|(name, changes, files)| (name, changes, files.to_owned()));
    assert_eq!(told, expected);
    let connect = &calls[5];
    assert!(connect.leads_to(([127, 0, 0, 1], 9).into()));
    assert!(!connect.leads_to(([127, 0, 0, 1], 90).into()));
    assert!(!connect.leads_to(([127, 0, 0, 2], 9).into()));
}
