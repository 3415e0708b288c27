use std::fmt;

/// The longest that there is: a sender may write keys of any length, in any depth.
const LONGEST: usize = 255;

/// What stands at the end of one that is cut.
const CUT: &str = "…";

/// Where something stands in the value of an attribute, as people write it: `[0].parts[2].data`. It is empty where it is
/// the value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ValuePath {
    text: String,
    is_cut: bool,
}

impl ValuePath {
    /// Goes on to an element of an array.
    pub fn index(&mut self, index: usize) {
        self.step(&format!("[{index}]"));
    }

    /// Goes on to the member with this key.
    pub fn key(&mut self, key: &[u8]) {
        if key.len() > LONGEST {
            return self.cut();
        }
        let quoted = serde_json::Value::from(String::from_utf8_lossy(key)).to_string();
        let literal = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        self.name(literal);
    }

    /// The same with a key as it stands in JSON, without its quotes.
    pub(crate) fn literal(&mut self, key: &[u8]) {
        if key.len() > LONGEST {
            return self.cut();
        }
        self.name(&String::from_utf8_lossy(key));
    }

    /// Goes on as `rest` does.
    pub fn join(&mut self, rest: &Self) {
        if self.text.is_empty() {
            self.clone_from(rest);
        } else if rest.text.starts_with('[') {
            self.step(&rest.text);
        } else if !rest.text.is_empty() {
            self.step(&format!(".{}", rest.text));
        }
        self.is_cut |= rest.is_cut;
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn name(&mut self, literal: &str) {
        let is_word = literal
            .starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && literal
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_word {
            self.step(&format!("[\"{literal}\"]"));
        } else if self.text.is_empty() {
            self.step(literal);
        } else {
            self.step(&format!(".{literal}"));
        }
    }

    fn step(&mut self, step: &str) {
        if self.is_cut {
            return;
        }
        if self.text.len() + step.len() > LONGEST - CUT.len() {
            return self.cut();
        }
        self.text.push_str(step);
    }

    fn cut(&mut self) {
        if !self.is_cut {
            self.text.push_str(CUT);
            self.is_cut = true;
        }
    }
}

impl fmt::Display for ValuePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_people_do() {
        let mut path = ValuePath::default();
        path.key(b"parts");
        path.index(2);
        path.key(b"data");
        assert_eq!(path.as_str(), "parts[2].data");
        path.key(b"a \"b\"");
        path.literal(br"\u0061");
        path.key(b"7");
        let written = r#"parts[2].data["a \"b\""]["\u0061"]["7"]"#;
        assert_eq!(path.as_str(), written);
        let mut around = ValuePath::default();
        around.index(1);
        around.join(&path);
        assert_eq!(around.as_str(), format!("[1].{written}"));
        let whole = around.clone();
        around.join(&ValuePath::default());
        assert_eq!(around, whole);
        let mut first = ValuePath::default();
        first.join(&around);
        assert_eq!(first, around);
    }

    #[test]
    fn long_paths_are_cut_between_two_steps() {
        let mut path = ValuePath::default();
        for _ in 0..1_000 {
            path.key(b"content");
        }
        assert!(path.as_str().len() <= LONGEST);
        assert!(path.as_str().ends_with(".content…"), "{path}");
        let mut same = ValuePath::default();
        same.join(&path);
        assert_eq!(same, path);
        let mut path = ValuePath::default();
        path.index(0);
        path.key(&vec![b'a'; 1 << 20]);
        path.index(1);
        assert_eq!(path.as_str(), "[0]…");
    }
}
