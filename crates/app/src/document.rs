//! TOML with positions: a table says where each key stands, and reports what it
//! finds there instead of what was wanted.

use std::borrow::Cow;
use std::cell::OnceCell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::finding::{Place, Report, quoted};
use crate::names::suggest;

/// A file's text, and the name that messages give it.
pub(crate) struct Source {
    name: String,
    text: String,
    /// Where lines end, found at the first question: a thousand checks ask often.
    line_ends: OnceCell<Vec<usize>>,
}

impl Source {
    pub fn new(name: impl Into<String>, text: String) -> Self {
        Self {
            name: name.into(),
            text,
            line_ends: OnceCell::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file as a table. After a syntax error the rest is still read, as far
    /// as it can be told.
    pub fn parse(&self, report: &mut Report) -> Table<'_> {
        let (root, errors) = DeTable::parse_recoverable(&self.text);
        for error in errors {
            let place = Place {
                line: error.span().map(|s| self.line(s.start)),
                ..Place::file(&self.name)
            };
            // The parser's message names keys and characters, never a value.
            let message = error.message().lines().next().unwrap_or_default();
            report.stop("toml-syntax", &place, "broken TOML", &syntax(message));
        }
        Table {
            source: self,
            key: String::new(),
            line: None,
            table: root.into_inner(),
        }
    }

    fn line(&self, offset: usize) -> u32 {
        let ends = self.line_ends.get_or_init(|| {
            let breaks = self.text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
            breaks.map(|(at, _)| at).collect()
        });
        u32::try_from(ends.partition_point(|end| *end < offset) + 1).unwrap_or(u32::MAX)
    }
}

fn syntax(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((problem, expected)) => format!("{expected} ({problem})"),
        None => format!("TOML ({message})"),
    }
}

/// A table, by its keys.
#[derive(Clone)]
pub(crate) struct Table<'a> {
    source: &'a Source,
    key: String,
    line: Option<u32>,
    table: DeTable<'a>,
}

impl<'a> Table<'a> {
    pub fn place(&self) -> Place {
        Place {
            file: self.source.name.clone(),
            line: self.line,
            key: self.key.clone(),
        }
    }

    pub fn get(&self, name: &str) -> Option<Item<'a>> {
        let (key, value) = self.table.iter().find(|(k, _)| k.get_ref() == name)?;
        Some(self.item(key, value))
    }

    /// In the order of the file.
    pub fn items(&self) -> impl Iterator<Item = (String, Item<'a>)> {
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, value)| (key.get_ref().to_string(), self.item(key, value)))
    }

    fn item(&self, key: &Spanned<Cow<'a, str>>, value: &Spanned<DeValue<'a>>) -> Item<'a> {
        Item {
            source: self.source,
            place: Place {
                file: self.source.name.clone(),
                line: Some(self.source.line(key.span().start)),
                key: join(&self.key, key.get_ref()),
            },
            value: value.clone(),
        }
    }

    /// Where a key stands, or would.
    pub fn place_of(&self, name: &str) -> Place {
        self.get(name)
            .map_or_else(|| self.place().key(join(&self.key, name)), |i| i.place)
    }

    /// Every other key is a mistake, as on Spin.
    pub fn only(&self, known: &[&str], report: &mut Report) {
        for (name, item) in self.items() {
            if !known.contains(&name.as_str()) {
                report.stop(
                    "unknown-key",
                    &item.place,
                    &format!("the unknown key {name:?}"),
                    &suggest(&name, known.iter().copied()),
                );
            }
        }
    }

    /// Where Spin overlooks every other key, it is a mistake all the same.
    pub fn ignored_but(&self, known: &[&str], report: &mut Report) {
        for (name, item) in self.items() {
            if !known.contains(&name.as_str()) {
                report.error(
                    "ignored-key",
                    &item.place,
                    &format!("the key {name:?}, which nothing reads"),
                    &suggest(&name, known.iter().copied()),
                );
            }
        }
    }

    /// A text, or a mistake when it is missing.
    pub fn required_text(
        &self,
        name: &str,
        want: &str,
        report: &mut Report,
    ) -> Option<(String, Place)> {
        match self.get(name) {
            Some(item) => item.text(report),
            None => {
                report.stop("missing-key", &self.place_of(name), "nothing", want);
                None
            }
        }
    }

    pub fn text(&self, name: &str, report: &mut Report) -> Option<(String, Place)> {
        self.get(name)?.text(report)
    }

    pub fn flag(&self, name: &str, report: &mut Report) -> Option<(bool, Place)> {
        let item = self.get(name)?;
        match item.value.get_ref() {
            DeValue::Boolean(flag) => Some((*flag, item.place)),
            _ => item.mistyped("true or false", report),
        }
    }

    pub fn number(&self, name: &str, report: &mut Report) -> Option<(u64, Place)> {
        let item = self.get(name)?;
        let number = match item.value.get_ref() {
            DeValue::Integer(i) => u64::from_str_radix(i.as_str(), i.radix()).ok(),
            _ => None,
        };
        match number {
            Some(number) => Some((number, item.place)),
            None => item.mistyped("a whole number, zero or more", report),
        }
    }

    pub fn texts(&self, name: &str, report: &mut Report) -> Vec<(String, Place)> {
        self.get(name).map(|i| i.texts(report)).unwrap_or_default()
    }

    pub fn table(&self, name: &str, report: &mut Report) -> Option<Table<'a>> {
        self.get(name)?.table(report)
    }

    /// `[[name]]`.
    pub fn tables(&self, name: &str, report: &mut Report) -> Vec<Table<'a>> {
        let Some(list) = self.get(name).and_then(|i| i.list(report)) else {
            return Vec::new();
        };
        list.into_iter().filter_map(|i| i.table(report)).collect()
    }

    /// Names and texts, such as `[component.x.environment]`.
    pub fn text_entries(&self, report: &mut Report) -> Vec<(String, String, Place)> {
        self.items()
            .filter_map(|(name, item)| {
                let (text, place) = item.text(report)?;
                Some((name, text, place))
            })
            .collect()
    }
}

/// A value, and where it stands.
#[derive(Clone)]
pub(crate) struct Item<'a> {
    source: &'a Source,
    pub place: Place,
    value: Spanned<DeValue<'a>>,
}

impl<'a> Item<'a> {
    pub fn is_text(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::String(_))
    }

    pub fn is_table(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Table(_))
    }

    pub fn is_empty(&self) -> bool {
        match self.value.get_ref() {
            DeValue::Array(list) => list.is_empty(),
            DeValue::Table(table) => table.is_empty(),
            _ => false,
        }
    }

    /// The whole number given, when it is one.
    pub fn is_number(&self, number: u64) -> bool {
        matches!(self.value.get_ref(), DeValue::Integer(i)
            if u64::from_str_radix(i.as_str(), i.radix()) == Ok(number))
    }

    pub fn text(&self, report: &mut Report) -> Option<(String, Place)> {
        match self.value.get_ref() {
            DeValue::String(text) => Some((text.to_string(), self.place.clone())),
            // Not which: a secret of digits may have lost its quotes.
            DeValue::Integer(_) | DeValue::Float(_) => {
                report.stop("wrong-type", &self.place, "a number", "a text in quotes");
                None
            }
            _ => self.mistyped("a text in quotes", report),
        }
    }

    pub fn texts(&self, report: &mut Report) -> Vec<(String, Place)> {
        let list = self.list(report).unwrap_or_default();
        list.iter().filter_map(|i| i.text(report)).collect()
    }

    pub fn list(&self, report: &mut Report) -> Option<Vec<Item<'a>>> {
        let DeValue::Array(list) = self.value.get_ref() else {
            return self.mistyped("a list in square brackets", report);
        };
        let item = |(i, value): (usize, &Spanned<DeValue<'a>>)| Item {
            source: self.source,
            place: Place {
                file: self.source.name.clone(),
                line: Some(self.source.line(value.span().start)),
                key: format!("{}[{i}]", self.place.key),
            },
            value: value.clone(),
        };
        Some(list.iter().enumerate().map(item).collect())
    }

    pub fn table(&self, report: &mut Report) -> Option<Table<'a>> {
        match self.value.get_ref() {
            DeValue::Table(table) => Some(Table {
                source: self.source,
                key: self.place.key.clone(),
                line: self.place.line,
                table: table.clone(),
            }),
            _ => self.mistyped("a table", report),
        }
    }

    /// What stands there, for a message. A text is left out: it may be a secret
    /// put where a number belongs.
    pub fn shown(&self) -> String {
        match self.value.get_ref() {
            DeValue::String(_) => "a text".to_owned(),
            DeValue::Integer(i) => i.to_string(),
            DeValue::Float(f) => f.to_string(),
            DeValue::Boolean(b) => b.to_string(),
            DeValue::Datetime(_) => "a date".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }

    pub fn mistyped<T>(&self, want: &str, report: &mut Report) -> Option<T> {
        report.stop("wrong-type", &self.place, &self.shown(), want);
        None
    }
}

/// `component.health`, with quotes where TOML wants them.
pub(crate) fn join(prefix: &str, name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let name = if bare { name.to_owned() } else { quoted(name) };
    if prefix.is_empty() {
        name
    } else {
        format!("{prefix}.{name}")
    }
}
