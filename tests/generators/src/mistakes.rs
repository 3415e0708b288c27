//! Configurations with a mistake, made from one without any.

/// The shipped file with the commented-out exporter and storage in it.
pub fn with_backend(shipped: &str) -> String {
    let uncomment = |line: &str| match line.strip_prefix("  #") {
        Some(yaml) if !yaml.starts_with(' ') || yaml.starts_with("  ") => format!("  {yaml}\n"),
        _ => format!("{line}\n"),
    };
    let all: String = shipped.lines().map(uncomment).collect();
    let extensions =
        "[artifact_store, artifact_server, health_check, file_storage, bearertokenauth, zpages]";
    all.replace(
        "[artifact_store, artifact_server, health_check]",
        extensions,
    )
}

/// A text with one mistake, and the line that is to be named; none where any may be.
pub struct Mutant {
    /// All of it.
    pub text: String,
    /// What stands in place of the line.
    pub changed: String,
    /// The number of the line.
    pub line: Option<usize>,
}

/// A line of the file that has a key.
struct Line<'t> {
    indentation: &'t str,
    key: &'t str,
    value: &'t str,
}

fn line_of(line: &str) -> Option<Line<'_>> {
    let trimmed = line.trim_start();
    let (key, value) = trimmed.split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_key.then(|| Line {
        indentation: line.strip_suffix(trimmed).unwrap_or_default(),
        key,
        value: value.trim(),
    })
}

/// Every mistake of a few kinds, in every line that has a key.
pub fn mutants(text: &str) -> Vec<Mutant> {
    let lines: Vec<&str> = text.lines().collect();
    let mut mutants = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(Line {
            indentation,
            key,
            value,
        }) = line_of(line)
        else {
            continue;
        };
        let mut with = |changed: String, line: Option<usize>| {
            let mut lines: Vec<&str> = lines.clone();
            if let Some(slot) = lines.get_mut(index) {
                *slot = &changed;
            }
            let text = lines.join("\n");
            mutants.push(Mutant {
                text,
                changed,
                line,
            });
        };
        let here = Some(index + 1);
        // A key that there is not.
        with(format!("{indentation}{key}_: {value}"), here);
        // The same key again: what was said first is what was meant, or not.
        with(
            format!("{indentation}{key}: {value}\n{indentation}{key}: {value}"),
            None,
        );
        with(format!("\t{indentation}{key}: {value}"), None);
        with(format!("{indentation}{key} {value}"), None);
        if value.is_empty() {
            continue;
        }
        with(format!("{indentation}{key}: {{a: [1, 2]}}"), here);
        with(format!("{indentation}{key}: !tag {value}"), here);
        with(format!("{indentation}{key}: *nowhere"), here);
        with(format!("{indentation}{key}: [{value}"), None);
        with(format!("{indentation}{key}: ${{env:"), here);
        with(format!("{indentation}{key}: ${{vault:x}}"), here);
        // Any word may be the name of a host.
        if value.starts_with(|c: char| c.is_ascii_digit()) && key != "host" {
            for wrong in ["-1", "99999999999999999999999999", "1 parsec", "1e999", "x"] {
                with(format!("{indentation}{key}: {wrong}"), here);
            }
        }
    }
    mutants
}
