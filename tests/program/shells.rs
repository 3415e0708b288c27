//! What shells complete, what `man` tells and what the documentation shows, of every command and option there is.

use std::fs;
use std::path::Path;
use std::slice;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use crate::support::slimspan::run;

/// A command, as its help says.
#[derive(Debug)]
struct Known {
    /// Below which commands it is, and its name; of slimspan itself nothing.
    path: Vec<String>,
    commands: Vec<String>,
    /// Without the dashes.
    options: Vec<String>,
}

impl Known {
    async fn asked(home: &Path, path: Vec<String>) -> Self {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let ended = run(home, &arguments).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let section = |title: &'static str| {
            let lines = ended.stdout.lines().map(str::to_owned);
            let mut lines = lines.skip_while(move |line| line != title);
            lines.next();
            lines
        };
        let commands = section("Commands:").take_while(|line| !line.is_empty());
        let commands =
            commands.filter_map(|line| line.split_whitespace().next().map(str::to_owned));
        let options = section("Options:").filter_map(|line| option(&line));
        Self {
            commands: commands.filter(|name| name != "help").collect(),
            options: options.collect(),
            path,
        }
    }

    /// Whether a line has its options, as `form` writes each, and its commands.
    fn are_all_in(&self, line: &str, form: &str) -> bool {
        let words: Vec<&str> = line.split([' ', '"']).collect();
        let options = self.options.iter().map(|name| format!("{form}{name}"));
        let mut all = options.chain(self.commands.iter().cloned());
        all.all(|word| words.contains(&word.as_str()))
    }
}

/// The name of the option with which a line of help begins; what is told about one stands further in.
fn option(line: &str) -> Option<String> {
    let text = line.trim_start();
    if line.len() - text.len() > 6 || !text.starts_with('-') {
        return None;
    }
    let (_, name) = text.split_once("--")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let end = name.find(|c: char| !is_name(c)).unwrap_or(name.len());
    name.get(..end).map(str::to_owned)
}

/// All commands that there are, those of commands too.
async fn every_command(home: &Path) -> Vec<Known> {
    let (mut known, mut asked) = (Vec::new(), vec![Vec::new()]);
    while let Some(path) = asked.pop() {
        let command = Known::asked(home, path).await;
        for name in &command.commands {
            asked.push([&command.path[..], slice::from_ref(name)].concat());
        }
        known.push(command);
    }
    known
}

#[tokio::test]
async fn shells_complete_every_command_and_option() {
    let home = tempfile::tempdir().unwrap();
    let known = every_command(home.path()).await;
    // What is asked for below would be nothing otherwise.
    assert!(known.len() > 15, "{known:?}");
    assert!(
        known
            .iter()
            .any(|command| command.path == ["catalog", "compact"])
    );
    let has = |command: &Known, name: &str| command.options.iter().any(|option| option == name);
    assert!(known.iter().any(|command| has(command, "sample")));

    let script = async |shell: &str| {
        let ended = run(home.path(), &["completions", shell]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    let (bash, zsh, fish) = (
        script("bash").await,
        script("zsh").await,
        script("fish").await,
    );
    for command in &known {
        let name = command.path.last();
        let mut choices = bash.lines().filter(|line| line.contains("opts="));
        let is_complete = choices.any(|line| command.are_all_in(line, "--"));
        assert!(is_complete, "bash: {command:?}");

        if let Some(name) = name {
            assert!(zsh.contains(&format!("'{name}:")), "zsh: {name}");
            assert!(fish.contains(&format!("-a \"{name}\"")), "fish: {name}");
        }
        for option in &command.options {
            let is_known = [format!("--{option}["), format!("--{option}=[")]
                .iter()
                .any(|text| zsh.contains(text));
            assert!(is_known, "zsh: --{option} of {name:?}");
            let is_of_it = |line: &&str| {
                let named = name.map(|name| format!(" {name}"));
                named.is_none_or(|named| line.contains(&named))
            };
            let mut lines = fish.lines().filter(is_of_it);
            let is_known = lines.any(|line| line.contains(&format!(" -l {option} ")));
            assert!(is_known, "fish: -l {option} of {name:?}");
        }
    }
    for shell in ["elvish", "powershell"] {
        let script = script(shell).await;
        for name in known.iter().filter_map(|command| command.path.last()) {
            assert!(script.contains(&format!(";{name}'")), "{shell}: {name}");
        }
    }
}

#[tokio::test]
async fn man_tells_of_every_command_and_option() {
    let home = tempfile::tempdir().unwrap();
    let known = every_command(home.path()).await;
    let roff = |text: &str| text.replace('-', "\\-");
    let man = run(home.path(), &["man"]).await.stdout;
    assert!(man.contains(".TH slimspan 1"), "{man}");
    let written = run(home.path(), &["man", "-o", "man1"]).await;
    assert_eq!(written.code, Some(0), "{written:?}");
    for command in &known {
        let name = [&["slimspan".to_owned()], &command.path[..]]
            .concat()
            .join("-");
        if command.path.len() == 1 {
            assert!(man.contains(&roff(&format!("{name}(1)"))), "{name}");
        }
        let page = home.path().join(format!("man1/{name}.1"));
        let page = fs::read_to_string(page).unwrap();
        for option in &command.options {
            let told = roff(&format!("--{option}"));
            assert!(page.contains(&told), "--{option} of {name}");
        }
        for below in &command.commands {
            let told = roff(&format!("{name}-{below}(1)"));
            assert!(page.contains(&told), "{below} of {name}");
        }
    }
    assert_eq!(
        fs::read_dir(home.path().join("man1")).unwrap().count(),
        known.len(),
        "a page for each, and for nothing else"
    );
}

/// The commands that a document shows, each without `slimspan` and what stands behind it for the shell.
fn shown(document: &str) -> Vec<String> {
    let (mut shown, mut is_block) = (Vec::new(), false);
    for event in Parser::new(document) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => is_block = true,
            Event::End(TagEnd::CodeBlock) => is_block = false,
            Event::Text(text) if is_block => {
                // Lines go on behind a backslash, and commands begin anew behind these.
                let text = text.replace("\\\n", " ");
                let parts = text.split(['\n', '|', ';', '&', '(', '$']);
                shown.extend(parts.filter_map(command));
            }
            Event::Code(text) => shown.extend(command(&text)),
            _ => {}
        }
    }
    shown
}

fn command(text: &str) -> Option<String> {
    let text = text.trim().strip_prefix("slimspan ")?;
    let end = [" #", " >"]
        .into_iter()
        .filter_map(|end| text.find(end))
        .min();
    // What may be left away is in brackets.
    let text = text.get(..end.unwrap_or(text.len()))?;
    Some(text.replace(['[', ']'], " "))
}

#[tokio::test]
async fn commands_that_the_documentation_shows_exist() {
    let home = tempfile::tempdir().unwrap();
    let known = every_command(home.path()).await;
    let of = |path: &[String]| known.iter().find(|command| command.path == path).unwrap();
    let mut count = 0;
    for (document, text) in crate::links::texts() {
        for line in shown(&text) {
            count += 1;
            let (mut words, mut path) = (line.split_whitespace().peekable(), Vec::<String>::new());
            while let Some(name) =
                words.next_if(|word| of(&path).commands.iter().any(|name| name == word))
            {
                path.push(name.to_owned());
            }
            let command = of(&path);
            let place = document.display();
            // What is no command has to begin with an option, as the configuration to run does.
            let is_one = !path.is_empty() || words.peek().is_none_or(|word| word.starts_with('-'));
            assert!(is_one, "{place}: slimspan {line}");
            for word in words {
                let Some(option) = word.strip_prefix("--") else {
                    continue;
                };
                let option = option.split('=').next().unwrap_or_default();
                let is_known = command.options.iter().any(|known| known == option);
                assert!(is_known, "{place}: --{option} of slimspan {line}");
            }
        }
    }
    assert!(count > 40, "{count}");
    assert_eq!(
        shown("`slimspan get [-o FILE]` and\n\n```sh\n$ slimspan ls --json # all\n```\n"),
        ["get  -o FILE ", "ls --json",]
    );
}
