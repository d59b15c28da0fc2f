//! Chat templates of language models, rendered by minijinja as transformers' `apply_chat_template` renders them by
//! Jinja2 (`_cached_compile_jinja_template` in transformers/utils/chat_template_utils.py).

use std::ffi::c_uchar;
use std::panic::{catch_unwind, AssertUnwindSafe};

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value};

/// A template is ended after so many instructions: those of strangers need not end by themselves. A long conversation
/// takes some thousands.
const FUEL: u64 = 5_000_000;

/// A text that is handed to C, which gives it back to `chat_free_text`.
#[repr(C)]
pub struct Text {
    bytes: *mut c_uchar,
    length: usize,
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        let bytes = Box::leak(text.into_boxed_str().into_boxed_bytes());
        Text { bytes: bytes.as_mut_ptr(), length: bytes.len() }
    }
}

/// Compiles the source of a template, UTF-8. It returns null, and why in `error`, if it is none.
///
/// # Safety
/// `source` has `length` bytes; `error` can be written to.
#[no_mangle]
pub unsafe extern "C" fn chat_compile(source: *const c_uchar, length: usize, error: *mut Text) -> *mut Environment<'static> {
    let source = String::from_utf8_lossy(std::slice::from_raw_parts(source, length)).into_owned();
    match guard(|| environment(source)) {
        Ok(env) => Box::into_raw(Box::new(env)),
        Err(why) => {
            *error = why.into();
            std::ptr::null_mut()
        }
    }
}

/// Renders a template with variables, a JSON object. It returns whether `text` is that, or why there is none.
///
/// # Safety
/// `env` is of `chat_compile`; `variables` has `length` bytes; `text` can be written to. Several threads may use one `env`.
#[no_mangle]
pub unsafe extern "C" fn chat_render(env: *const Environment<'static>, variables: *const c_uchar, length: usize, text: *mut Text) -> bool {
    let variables = std::slice::from_raw_parts(variables, length);
    let rendered = guard(|| {
        let variables: Value = serde_json::from_slice(variables).map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))?;
        (*env).get_template("chat")?.render(variables)
    });
    let ok = rendered.is_ok();
    *text = rendered.unwrap_or_else(|why| why).into();
    ok
}

/// Frees a template.
///
/// # Safety
/// `env` is of `chat_compile` and not used any more.
#[no_mangle]
pub unsafe extern "C" fn chat_free(env: *mut Environment<'static>) {
    drop(Box::from_raw(env));
}

/// Frees a text.
///
/// # Safety
/// `text` is of one of the functions above.
#[no_mangle]
pub unsafe extern "C" fn chat_free_text(text: Text) {
    drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(text.bytes, text.length)));
}

/// Runs `work`, and says in one line what went wrong: in the words of the template where it raised an exception itself.
fn guard<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, String> {
    let error = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(error)) => error,
        Err(_) => return Err("the template engine failed on it".into()),
    };
    let mut said = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "it does not come to an end".into(),
        (_, Some(detail)) => detail.to_string(),
        (kind, None) => kind.to_string(),
    };
    if let (Some(line), None) = (error.line(), said.strip_prefix(RAISED)) {
        said = format!("line {line}: {said}");
    }
    Err(said.strip_prefix(RAISED).unwrap_or(&said).split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Marks what a template says by raise_exception.
const RAISED: char = '\u{fdd0}';

fn environment(source: String) -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_trim_blocks(true);
    env.set_lstrip_blocks(true);
    env.set_fuel(Some(FUEL));
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.set_formatter(|out: &mut Output, _: &State, value: &Value| {
        if value.is_undefined() {
            return Ok(());
        }
        Ok(out.write_str(&python_str(value))?)
    });
    env.add_filter("tojson", tojson);
    env.add_filter("string", |value: Value| python_str(&value));
    env.add_filter("generation", |text: Value| format!("\u{fdd0}{text}\u{fdd1}"));
    env.add_test("iterable", |value: Value| !value.is_none() && value.try_iter().is_ok());
    env.add_function("raise_exception", |message: Value| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{message}")))
    });
    env.add_function("strftime_now", strftime);
    // Jinja2 reads all line ends as LF.
    env.add_template_owned("chat", source.replace("\r\n", "\n").replace('\r', "\n"))?;
    Ok(env)
}

/// The date of today, always 26 July 2024, a Friday at midnight, which Llama 3's templates have for their own: the same
/// conversation is the same text on every day.
fn strftime(format: &str) -> String {
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('Y') => text.push_str("2024"),
            Some('y') => text.push_str("24"),
            Some('m') => text.push_str("07"),
            Some('B') => text.push_str("July"),
            Some('b') => text.push_str("Jul"),
            Some('d') => text.push_str("26"),
            Some('j') => text.push_str("208"),
            Some('A') => text.push_str("Friday"),
            Some('a') => text.push_str("Fri"),
            Some('F') => text.push_str("2024-07-26"),
            Some('H' | 'M' | 'S') => text.push_str("00"),
            Some('I') => text.push_str("12"),
            Some('p') => text.push_str("AM"),
            Some('T') => text.push_str("00:00:00"),
            Some('-') if chars.as_str().starts_with('d') => {
                chars.next();
                text.push_str("26");
            }
            Some('%') => text.push('%'),
            other => text.extend(['%'].into_iter().chain(other)),
        }
    }
    text
}

/// A value as Python's str has it.
fn python_str(value: &Value) -> String {
    match value.kind() {
        ValueKind::String | ValueKind::Undefined => value.to_string(),
        _ => python_repr(value),
    }
}

/// A value as Python's repr has it.
fn python_repr(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "None".into(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.into(),
        ValueKind::Number => number(value),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => match value.try_iter() {
            Ok(items) => format!("[{}]", items.map(|v| python_repr(&v)).collect::<Vec<_>>().join(", ")),
            Err(_) => value.to_string(),
        },
        ValueKind::Map => match value.try_iter() {
            Ok(keys) => {
                let members = keys.map(|k| format!("{}: {}", python_repr(&k), python_repr(&value.get_item(&k).unwrap_or_default())));
                format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
            }
            Err(_) => value.to_string(),
        },
        _ => value.to_string(),
    }
}

/// A string literal with the quotes that Python chooses.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c < ' ' || ('\u{7f}'..='\u{a0}').contains(&c) || c == '\u{ad}' => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// A number as Python writes it: floats are their shortest digits, with an exponent below 1e-4 and from 1e16.
fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    let Ok(float) = f64::try_from(value.clone()) else { return value.to_string() };
    let size = float.abs();
    if !float.is_finite() {
        return value.to_string();
    }
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{float:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(("+", exponent), |e| ("-", e));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{float:?}")
}

/// json.dumps(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False), as transformers defines the
/// filter.
fn tojson(value: Value, positional: Rest<Value>, named: Kwargs) -> Result<String, Error> {
    let of = |name: &str, at: usize| named.get::<Option<Value>>(name).ok().flatten().or_else(|| positional.get(at).cloned());
    let separators = of("separators", 2).filter(|v| !v.is_none());
    let separator = |i: usize| separators.as_ref().and_then(|s| s.get_item_by_index(i).ok()).map(|s| s.to_string());
    let indent = of("indent", 1).filter(|v| !v.is_none()).map(|v| match v.as_usize() {
        Some(n) => " ".repeat(n),
        None => v.to_string(),
    });
    let form = Form {
        ascii: of("ensure_ascii", 0).is_some_and(|v| v.is_true()),
        sorted: of("sort_keys", 3).is_some_and(|v| v.is_true()),
        item: separator(0).unwrap_or(if indent.is_some() { "," } else { ", " }.into()),
        key: separator(1).unwrap_or(": ".into()),
        indent,
    };
    let mut out = String::new();
    form.write(&value, 0, &mut out)?;
    Ok(out)
}

struct Form {
    ascii: bool,
    sorted: bool,
    item: String,
    key: String,
    indent: Option<String>,
}

impl Form {
    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&number(value)),
            ValueKind::String => self.text(value.as_str().unwrap_or_default(), out),
            ValueKind::Seq => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.members('[', ']', &items, depth, out, |item, out| self.write(item, depth + 1, out))?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sorted {
                    keys.sort();
                }
                self.members('{', '}', &keys, depth, out, |key, out| {
                    match key.as_str() {
                        Some(text) => self.text(text, out),
                        None => self.text(&python_str(key), out),
                    }
                    out.push_str(&self.key);
                    self.write(&value.get_item(key)?, depth + 1, out)
                })?;
            }
            kind => return Err(Error::new(ErrorKind::InvalidOperation, format!("tojson of {kind}, which is no JSON"))),
        }
        Ok(())
    }

    fn members(&self, open: char, close: char, items: &[Value], depth: usize, out: &mut String, mut each: impl FnMut(&Value, &mut String) -> Result<(), Error>) -> Result<(), Error> {
        let line = |out: &mut String, depth: usize| {
            if let Some(indent) = &self.indent {
                out.push('\n');
                out.push_str(&indent.repeat(depth));
            }
        };
        out.push(open);
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                out.push_str(&self.item);
            }
            line(out, depth + 1);
            each(item, out)?;
        }
        if !items.is_empty() {
            line(out, depth);
        }
        out.push(close);
        Ok(())
    }

    fn text(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if c < ' ' || self.ascii && !c.is_ascii() => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}
