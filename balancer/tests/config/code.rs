//! The configuration's code, read: its structs with their doc comments, as sections with keys.
//!
//! A struct with a table `| key | meaning | default |` in its doc comment reads these keys and no
//! fields; a field with such a table is an array of tables with these keys.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use syn::{Attribute, Expr, Field, Fields, GenericArgument, Item, Lit, Meta, PathArguments, Type};

/// A table of the file.
#[derive(Debug)]
pub(crate) struct Section {
    /// `upstream.tls`; empty for what stands outside of any section.
    pub(crate) path: String,
    /// Whether it is written `[[node]]`.
    pub(crate) is_array: bool,
    pub(crate) meaning: String,
    pub(crate) keys: Vec<Key>,
}

/// A key of it.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) meaning: String,
}

/// What is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Flag,
    Whole,
    Number,
    Duration,
    Size { may_be_none: bool },
    Text(&'static str),
    Words(Vec<String>),
    List(Box<Kind>),
}

/// The code's structs and enums, by name.
struct Code {
    structs: HashMap<String, syn::ItemStruct>,
    enums: HashMap<String, syn::ItemEnum>,
}

// === impl Section ===

impl Section {
    /// A key with its section.
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The section that it is a part of; that of `http` is the file itself.
    pub(crate) fn parent(&self) -> Option<&str> {
        match self.path.rsplit_once('.') {
            Some((parent, _)) => Some(parent),
            None => (!self.path.is_empty()).then_some(""),
        }
    }

    /// `[http]`, `[[node]]`.
    pub(crate) fn head(&self) -> String {
        match (self.path.as_str(), self.is_array) {
            ("", _) => String::new(),
            (path, true) => format!("[[{path}]]"),
            (path, false) => format!("[{path}]"),
        }
    }
}

// === impl Kind ===

impl Kind {
    pub(crate) fn is_secret(&self) -> bool {
        *self == Kind::Text("secret")
    }
}

/// All sections, in the order of the code.
pub(crate) fn sections() -> Vec<Section> {
    let code = Code::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config"));
    let mut sections = Vec::new();
    code.section("Config", "", false, &mut sections);
    sections
}

// === impl Code ===

impl Code {
    fn read(folder: &Path) -> Code {
        let mut code = Code { structs: HashMap::new(), enums: HashMap::new() };
        code.take(&folder.with_extension("rs"));
        code.take_all(folder);
        code
    }

    fn take_all(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => self.take_all(&path),
                false => self.take(&path),
            }
        }
    }

    fn take(&mut self, file: &Path) {
        let text = fs::read_to_string(file).unwrap();
        let file = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        for item in file.items {
            match item {
                Item::Struct(item) if matches!(item.vis, syn::Visibility::Public(_)) => {
                    let name = item.ident.to_string();
                    let other = self.structs.insert(name.clone(), item);
                    assert!(other.is_none(), "two structs {name} in the configuration's code");
                }
                Item::Enum(item) => {
                    self.enums.insert(item.ident.to_string(), item);
                }
                _ => {}
            }
        }
    }

    fn section(&self, name: &str, path: &str, is_array: bool, into: &mut Vec<Section>) {
        let item = &self.structs[name];
        let (meaning, table) = split_table(&doc(&item.attrs));
        let mut section = Section { path: path.to_owned(), is_array, meaning, keys: table };
        let place = into.len();
        let is_table = !section.keys.is_empty();
        into.push(Section { keys: Vec::new(), ..section.shallow() });
        let Fields::Named(fields) = &item.fields else { panic!("{name} has no named fields") };
        for field in fields.named.iter().filter(|_| !is_table) {
            self.field(field, &mut section, into);
        }
        into[place] = section;
    }

    fn field(&self, field: &Field, section: &mut Section, into: &mut Vec<Section>) {
        let name = field.ident.as_ref().unwrap().to_string();
        let name = serde(&field.attrs, "rename").unwrap_or(name);
        let path = section.path_of(&name);
        let (meaning, keys) = split_table(&doc(&field.attrs));
        if !keys.is_empty() {
            into.push(Section { path, is_array: true, meaning, keys });
            return;
        }
        let (inner, is_list) = inner(&field.ty);
        let is_section = self
            .structs
            .get(&inner)
            .is_some_and(|item| matches!(item.fields, Fields::Named(_)) && !has_own_form(item));
        match is_section {
            true => self.section(&inner, &path, is_list, into),
            false => section.keys.push(Key { name, kind: self.kind(field), meaning }),
        }
    }

    fn kind(&self, field: &Field) -> Kind {
        let shown = serde(&field.attrs, "serialize_with").unwrap_or_default();
        let (inner, is_list) = inner(&field.ty);
        let kind = match inner.as_str() {
            _ if shown.ends_with("show_bytes") || shown.ends_with("show_size") => {
                Kind::Size { may_be_none: false }
            }
            _ if shown.ends_with("show_limit") => Kind::Size { may_be_none: true },
            "bool" => Kind::Flag,
            "f64" => Kind::Number,
            "Duration" => Kind::Duration,
            "usize" | "u64" | "u32" | "u16" | "u8" | "NonZeroU32" => Kind::Whole,
            "SocketAddr" | "SocketAddrV4" => Kind::Text("ip:port"),
            "Ipv4Addr" | "IpAddr" => Kind::Text("ip"),
            "PathBuf" => Kind::Text("file"),
            "ContextPath" => Kind::Text("context"),
            "Networks" => return Kind::List(Box::new(Kind::Text("network"))),
            name if name.contains("Secret") || name.ends_with("Key") => Kind::Text("secret"),
            name => self.words(name),
        };
        if is_list { Kind::List(Box::new(kind)) } else { kind }
    }

    /// The words of an enum, where it has no form of its own.
    fn words(&self, name: &str) -> Kind {
        let Some(item) = self.enums.get(name) else { return Kind::Text("text") };
        let has_values = item.variants.iter().any(|variant| !variant.fields.is_empty());
        if has_values || !derives_serialize(&item.attrs) {
            return Kind::Text("text");
        }
        let all = serde(&item.attrs, "rename_all");
        let word = |variant: &syn::Variant| {
            serde(&variant.attrs, "rename").unwrap_or_else(|| {
                let name = variant.ident.to_string();
                match all.as_deref() {
                    Some("kebab-case") => split_words(&name, "-"),
                    Some("snake_case") => split_words(&name, "_"),
                    Some(_) => name.to_lowercase(),
                    None => name,
                }
            })
        };
        Kind::Words(item.variants.iter().map(word).collect())
    }
}

impl Section {
    fn shallow(&self) -> Section {
        let (path, meaning) = (self.path.clone(), self.meaning.clone());
        Section { path, meaning, is_array: self.is_array, keys: Vec::new() }
    }
}

// === what stands in the code ===

/// A struct that is written as one value, and not as a section.
fn has_own_form(item: &syn::ItemStruct) -> bool {
    let (_, table) = split_table(&doc(&item.attrs));
    !derives_serialize(&item.attrs) && table.is_empty()
}

fn derives_serialize(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("derive") => {
            list.tokens.to_string().contains("Serialize")
        }
        _ => false,
    })
}

/// The text of a doc comment, each paragraph on a line of its own.
fn doc(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        let Meta::NameValue(pair) = &attribute.meta else { continue };
        let Expr::Lit(value) = &pair.value else { continue };
        let Lit::Str(line) = &value.lit else { continue };
        if pair.path.is_ident("doc") {
            text += line.value().trim();
            text.push('\n');
        }
    }
    text
}

/// What a comment says beside its table of keys, and the table.
fn split_table(comment: &str) -> (String, Vec<Key>) {
    let is_row = |line: &&str| line.starts_with('|');
    let (rows, words): (Vec<&str>, Vec<&str>) = comment.lines().partition(is_row);
    let meaning = words.join(" ").trim().to_owned();
    let is_of_keys =
        rows.first().is_some_and(|row| row.replace(' ', "") == "|key|meaning|default|");
    if !is_of_keys {
        return ([meaning, rows.join("\n")].join("\n").trim().to_owned(), Vec::new());
    }
    let key = |row: &&str| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, meaning, default] = cells[..] else { panic!("{row}: not three cells") };
        let kind = if name.contains("secret") { Kind::Text("secret") } else { table_kind(default) };
        let default = match default {
            "mandatory" => "Mandatory.".to_owned(),
            default => format!("Default {default}."),
        };
        let meaning = format!("{}. {default}", sentence(meaning));
        Key { name: name.trim_matches('`').to_owned(), kind, meaning }
    };
    (meaning, rows.iter().skip(2).map(key).collect())
}

fn table_kind(default: &str) -> Kind {
    let bare = default.trim_matches('`');
    match bare {
        "true" | "false" => Kind::Flag,
        list if list.starts_with('[') => Kind::List(Box::new(Kind::Text("text"))),
        number if number.parse::<u64>().is_ok() => Kind::Whole,
        _ => Kind::Text("text"),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect::<String>().trim_end_matches('.').to_owned()
    })
}

/// `name = "value"` of a serde attribute.
fn serde(attributes: &[Attribute], name: &str) -> Option<String> {
    let mut found = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let _ = attribute.parse_nested_meta(|meta| {
            if let Ok(value) = meta.value() {
                let value: syn::LitStr = value.parse()?;
                if meta.path.is_ident(name) {
                    found = Some(value.value());
                }
            }
            Ok(())
        });
    }
    found
}

/// The name of a type within `Vec`, `Option` and the like, and whether it is a list.
fn inner(kind: &Type) -> (String, bool) {
    let Type::Path(path) = kind else { return (String::new(), false) };
    let last = path.path.segments.last().unwrap();
    let name = last.ident.to_string();
    let argument = match &last.arguments {
        PathArguments::AngleBracketed(arguments) => arguments.args.first(),
        _ => None,
    };
    match (name.as_str(), argument) {
        ("Vec", Some(GenericArgument::Type(of))) => (inner(of).0, true),
        ("Option" | "Arc" | "Box", Some(GenericArgument::Type(of))) => inner(of),
        _ => (name, false),
    }
}

fn split_words(name: &str, by: &str) -> String {
    let mut words = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_uppercase() && at > 0 {
            words += by;
        }
        words.extend(letter.to_lowercase());
    }
    words
}
