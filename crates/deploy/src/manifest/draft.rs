//! The manifest while it is being changed.

use std::collections::BTreeMap;

use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value};
use watchbell_app::{
    ApplicationVariable, Finding, Kind, Level, LoadOptions, Target, Template, application_variables,
};

use super::source::Source;

pub(super) struct Draft<'a> {
    pub source: &'a Source,
    pub target: Target,
    pub doc: DocumentMut,
    pub notes: Notes,
    pub refusals: Vec<Finding>,
    values: BTreeMap<String, ApplicationVariable>,
}

/// One of our components.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ours {
    pub id: String,
    pub kind: Kind,
}

/// A variable of the application in a text that needs its value.
pub(super) enum Lacking {
    Value(String),
    /// It has one, which must not be written down.
    Secret(String),
}

impl<'a> Draft<'a> {
    pub fn new(source: &'a Source, options: &LoadOptions, target: Target) -> Self {
        Self {
            doc: source.document.clone().into_mut(),
            source,
            target,
            notes: Notes::default(),
            refusals: Vec::new(),
            values: application_variables(options).0,
        }
    }

    /// Ids, in the order of the file.
    pub fn components(&self) -> Vec<String> {
        let all = self.doc.get("component").and_then(Item::as_table_like);
        all.map(|t| t.iter().map(|(id, _)| id.to_owned()).collect())
            .unwrap_or_default()
    }

    pub fn ours(&self) -> Vec<Ours> {
        let ours = |id: String| {
            let source = self.component(&id)?.get("source")?.as_str()?;
            let kind = Kind::of_source(source)?;
            Some(Ours { id, kind })
        };
        self.components().into_iter().filter_map(ours).collect()
    }

    pub fn checks(&self) -> Vec<Ours> {
        let mut ours = self.ours();
        ours.retain(|c| c.kind.is_check());
        ours
    }

    pub fn component(&self, id: &str) -> Option<&dyn TableLike> {
        self.doc.get("component")?.get(id)?.as_table_like()
    }

    pub fn component_mut(&mut self, id: &str) -> Option<&mut dyn TableLike> {
        let all = self.doc.get_mut("component")?;
        all.get_mut(id)?.as_table_like_mut()
    }

    /// A variable of a stanza, as written.
    pub fn text(&self, id: &str, name: &str) -> Option<&str> {
        self.component(id)?.get("variables")?.get(name)?.as_str()
    }

    /// A variable of a stanza, with its value as far as there is one.
    pub fn value(&self, id: &str, name: &str) -> Option<String> {
        let template = Template::parse(self.text(id, name)?).ok()?;
        let value = |name: &str| self.values.get(name)?.value.clone();
        template.resolve_with(|name| value(name).ok_or(())).ok()
    }

    pub fn set(&mut self, id: &str, name: &str, text: &str) {
        let Some(component) = self.component_mut(id) else {
            return;
        };
        let variables = component
            .entry("variables")
            .or_insert(Item::Table(Table::new()));
        if let Some(variables) = variables.as_table_like_mut() {
            put(variables, name, text.into());
        }
    }

    /// As written; empty for none.
    pub fn permissions(&self, id: &str) -> Vec<String> {
        let list = |c: &dyn TableLike| {
            let texts = c.get(PERMISSIONS)?.as_array()?.iter();
            Some(
                texts
                    .filter_map(|v| v.as_str().map(str::to_owned))
                    .collect(),
            )
        };
        self.component(id).and_then(list).unwrap_or_default()
    }

    /// Each entry replaced by what `change` gives for it, or dropped.
    pub fn change_permissions(&mut self, id: &str, change: impl Fn(&str) -> Option<String>) {
        let list = self.component_mut(id).and_then(|c| c.get_mut(PERMISSIONS));
        let Some(list) = list.and_then(Item::as_array_mut) else {
            return;
        };
        let one_line = !list.iter().any(|v| {
            let prefix = v.decor().prefix().and_then(|p| p.as_str());
            prefix.is_some_and(|p| p.contains('\n'))
        });
        list.retain(|v| v.as_str().is_none_or(|text| change(text).is_some()));
        for value in list.iter_mut() {
            let Some(new) = value.as_str().and_then(&change) else {
                continue;
            };
            let decor = value.decor().clone();
            *value = new.into();
            *value.decor_mut() = decor;
        }
        // Else the first of those that stay brings the blank that stood behind another.
        if one_line {
            list.fmt();
        }
    }

    pub fn permit(&mut self, id: &str, entry: &str) {
        if self.permissions(id).iter().any(|e| e == entry) {
            return;
        }
        let Some(component) = self.component_mut(id) else {
            return;
        };
        let list = component.entry(PERMISSIONS).or_insert(Array::new().into());
        if let Some(list) = list.as_array_mut() {
            list.push(entry);
        }
    }

    /// A text with its templates' values, and the variables that they are.
    pub fn literal(&self, text: &str) -> Result<(String, Vec<String>), Vec<Lacking>> {
        // What is malformed is found where the manifest is validated.
        let Ok(template) = Template::parse(text) else {
            return Ok((text.to_owned(), Vec::new()));
        };
        let lacks = |name: &str| match self.values.get(name) {
            Some(variable) if variable.secret => Some(Lacking::Secret(name.to_owned())),
            Some(variable) if variable.value.is_some() => None,
            _ => Some(Lacking::Value(name.to_owned())),
        };
        let lacking: Vec<Lacking> = template.names().filter_map(lacks).collect();
        let value = |name: &str| self.values.get(name)?.value.clone();
        match template.resolve_with(|name| value(name).ok_or(())) {
            Ok(text) if lacking.is_empty() => {
                Ok((text, template.names().map(str::to_owned).collect()))
            }
            _ => Err(lacking),
        }
    }

    /// The value that an application's variable has now.
    pub fn application_value(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.value.as_deref()
    }

    /// A variable of the application, made where there is none.
    pub fn declare(&mut self, name: &str, change: impl FnOnce(&mut dyn TableLike)) {
        let variables = self
            .doc
            .entry("variables")
            .or_insert(Item::Table(Table::new()));
        let Some(variables) = variables.as_table_like_mut() else {
            return;
        };
        let new = Item::Value(Value::InlineTable(toml_edit::InlineTable::new()));
        let item = variables.entry(name).or_insert(new);
        if let Some(table) = item.as_table_like_mut() {
            change(table);
            // Alphabetical is also the order in which people write these: a default before
            // a secret.
            table.sort_values();
            table.fmt();
        }
    }

    pub fn require(&mut self, name: &str) {
        self.declare(name, |variable| {
            variable.remove("default");
            variable.insert("required", toml_edit::value(true));
            variable.insert("secret", toml_edit::value(true));
        });
    }

    /// A key of the hand-written manifest is refused.
    pub fn refuse(&mut self, id: &'static str, key: String, got: &str, want: &str) {
        self.refusals.push(Finding {
            file: self.source.name.clone(),
            line: self.source.line(&key),
            key,
            id,
            level: Level::Error,
            got: got.to_owned(),
            want: want.to_owned(),
            stops_start: true,
        });
    }

    /// What was asked for is refused.
    pub fn refuse_option(&mut self, id: &'static str, option: &str, got: &str, want: &str) {
        self.refusals.push(Finding {
            file: option.to_owned(),
            line: None,
            key: String::new(),
            id,
            level: Level::Error,
            got: got.to_owned(),
            want: want.to_owned(),
            stops_start: true,
        });
    }
}

pub(super) const PERMISSIONS: &str = "allowed_outbound_hosts";

/// A value in a table, with the blanks and comments around the one before it.
pub(super) fn put(table: &mut dyn TableLike, name: &str, mut value: Value) {
    // Inserting would take the comment above with the old key.
    match table.get_mut(name).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => drop(table.insert(name, Item::Value(value))),
    }
}

/// What to tell the operator: what several components share, once.
#[derive(Default)]
pub(super) struct Notes(Vec<(String, Vec<String>)>);

impl Notes {
    pub fn of(&mut self, component: &str, text: impl Into<String>) {
        let text = text.into();
        match self.0.iter_mut().find(|(known, _)| *known == text) {
            Some((_, components)) => components.push(component.to_owned()),
            None => self.0.push((text, vec![component.to_owned()])),
        }
    }

    pub fn add(&mut self, text: impl Into<String>) {
        self.0.push((text.into(), Vec::new()));
    }

    pub fn texts(self) -> Vec<String> {
        let text = |(text, components): (String, Vec<String>)| match components.as_slice() {
            [] => text,
            _ => format!("{}: {text}", components.join(", ")),
        };
        self.0.into_iter().map(text).collect()
    }
}
