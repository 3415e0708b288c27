use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tempfile::NamedTempFile;

use super::otlp_files::Input;
use super::output::hand_over;

/// Where the requests of an input go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Stdout,
    File(PathBuf),
}

/// The extensions of compressed files. What is written is not compressed.
const COMPRESSED: [&str; 3] = ["gz", "zst", "zstd"];

/// A target for each input, in their order; `output` is what the user said.
pub(super) fn targets(inputs: &[Input], output: Option<&Path>) -> anyhow::Result<Vec<Target>> {
    let Some(output) = output.filter(|output| output.as_os_str() != "-") else {
        return Ok(vec![Target::Stdout; inputs.len()]);
    };
    let named_as_folder = output.as_os_str().as_encoded_bytes().ends_with(b"/");
    if !output.is_dir() && !named_as_folder && inputs.len() <= 1 {
        return Ok(vec![Target::File(output.to_owned()); inputs.len()]);
    }
    if output.exists() && !output.is_dir() {
        bail!(
            "{} is a file: several inputs are written into a folder",
            output.display()
        );
    }
    let mut names = BTreeSet::new();
    let mut targets = Vec::new();
    for input in inputs {
        let path = input.path().and_then(name_of).with_context(|| {
            format!("{input} has no name: say the name of the file to write with --output")
        })?;
        if !names.insert(path.clone()) {
            bail!(
                "two inputs would both be written to {} in {}: write them to different folders",
                path.display(),
                output.display()
            );
        }
        targets.push(Target::File(output.join(path)));
    }
    fs::create_dir_all(output)
        .with_context(|| format!("cannot create the folder {}", output.display()))?;
    Ok(targets)
}

/// The name of a file, without what says that it is compressed.
fn name_of(path: &Path) -> Option<PathBuf> {
    let name = Path::new(path.file_name()?);
    let extension = name.extension().and_then(|extension| extension.to_str());
    let compressed = extension.is_some_and(|extension| COMPRESSED.contains(&extension));
    Some(if compressed {
        name.with_extension("")
    } else {
        name.to_owned()
    })
}

/// A target that is written.
pub(super) enum Destination {
    Stdout,
    /// A file that takes its name when it is complete.
    File {
        temporary: NamedTempFile,
        path: PathBuf,
    },
    /// What is there and no file, such as a pipe or a device, is written as it is.
    Device {
        device: File,
        path: PathBuf,
    },
}

impl Destination {
    pub(super) fn open(target: Target) -> anyhow::Result<Self> {
        let Target::File(path) = target else {
            return Ok(Self::Stdout);
        };
        let place = || format!("cannot write {}", path.display());
        // A link stays one.
        let path = path.canonicalize().unwrap_or_else(|_| path.clone());
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            let device = File::options().write(true).open(&path);
            let device = device.with_context(place)?;
            return Ok(Self::Device { device, path });
        }
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".slimspan-");
        readable_as_usual(&mut builder);
        let temporary = builder.tempfile_in(folder).with_context(place)?;
        Ok(Self::File { temporary, path })
    }

    /// Writes one request.
    pub(super) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Stdout => hand_over(bytes),
            Self::File { temporary, path } => (temporary.write_all(bytes))
                .with_context(|| format!("cannot write {}", path.display())),
            Self::Device { device, path } => (device.write_all(bytes))
                .with_context(|| format!("cannot write {}", path.display())),
        }
    }

    /// Ends it; returns the path of what was written.
    pub(super) fn finish(self) -> anyhow::Result<Option<PathBuf>> {
        match self {
            Self::Stdout => Ok(None),
            Self::Device { path, .. } => Ok(Some(path)),
            Self::File { temporary, path } => {
                let synced = temporary.as_file().sync_all();
                synced
                    .and_then(|()| temporary.persist(&path).map_err(io::Error::from))
                    .with_context(|| format!("cannot write {}", path.display()))?;
                Ok(Some(path))
            }
        }
    }
}

/// Temporary files are private; the file that becomes of this one is as the user's other files.
#[cfg(unix)]
fn readable_as_usual(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt as _;

    builder.permissions(fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn readable_as_usual(_: &mut tempfile::Builder<'_, '_>) {}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<Input> {
        let inputs = names.iter().map(|name| Input::File(name.into()));
        inputs.collect()
    }

    #[test]
    fn one_input_has_the_output_as_its_file_or_folder() {
        let home = tempfile::tempdir().unwrap();
        let one = files(&["a/x.traces.pb.zst"]);
        assert_eq!(targets(&one, None).unwrap(), [Target::Stdout]);
        assert_eq!(
            targets(&one, Some(Path::new("-"))).unwrap(),
            [Target::Stdout]
        );
        let file = home.path().join("y.pb");
        let expected = [Target::File(file.clone())];
        assert_eq!(targets(&one, Some(&file)).unwrap(), expected);
        let expected = [Target::File(home.path().join("x.traces.pb"))];
        assert_eq!(targets(&one, Some(home.path())).unwrap(), expected);
        let folder = home.path().join("new/");
        let expected = [Target::File(folder.join("x.traces.pb"))];
        assert_eq!(targets(&one, Some(&folder)).unwrap(), expected);
        assert!(folder.is_dir());
    }

    #[test]
    fn several_inputs_need_a_folder_and_names_of_their_own() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("out");
        let two = targets(&files(&["a/x.json", "b/y.json.gz"]), Some(&folder)).unwrap();
        let expected = ["x.json", "y.json"].map(|name| Target::File(folder.join(name)));
        assert_eq!(two, expected);

        let same = targets(&files(&["a/x", "b/x.gz"]), Some(&folder)).unwrap_err();
        assert!(same.to_string().contains("different folders"), "{same}");
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let taken = targets(&files(&["a", "b"]), Some(&file)).unwrap_err();
        assert!(taken.to_string().contains("is a file"), "{taken}");
        let unnamed = targets(&[Input::Stdin], Some(&folder)).unwrap_err();
        assert!(unnamed.to_string().contains("has no name"), "{unnamed}");
    }

    #[test]
    fn a_file_appears_when_it_is_complete() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        fs::write(&path, "old").unwrap();
        let mut dropped = Destination::open(Target::File(path.clone())).unwrap();
        dropped.write(b"half").unwrap();
        drop(dropped);
        let mut whole = Destination::open(Target::File(path.clone())).unwrap();
        whole.write(b"ne").unwrap();
        whole.write(b"w").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        whole.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
