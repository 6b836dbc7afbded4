//! Joins the parts of the description of the API (`src/http/openapi`) into the one document that is
//! served, so that a part that does not fit is found when the server is built.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::{Map, Value, json};

const PARTS: &str = "src/http/openapi";
/// The members of a path that are operations, of those that are used.
const METHODS: [&str; 4] = ["get", "put", "post", "delete"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PARTS}");
    let mut description = json!({ "info": { "version": env::var("CARGO_PKG_VERSION")? } });
    let mut parts = fs::read_dir(PARTS)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>, std::io::Error>>()?;
    parts.sort();
    for path in parts {
        let part = serde_json::from_slice(&fs::read(&path)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        join(&mut description, part).map_err(|at| format!("{}: {at} again", path.display()))?;
    }
    add_refusals(&mut description);
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("openapi.json"), description.to_string())?;
    Ok(())
}

/// Adds the members of a part; an error names one that is there already and cannot be joined.
fn join(whole: &mut Value, part: Value) -> Result<(), String> {
    let (Value::Object(whole), Value::Object(part)) = (whole, part) else {
        return Err("a value".into());
    };
    for (name, value) in part {
        match whole.get_mut(&name) {
            None => {
                whole.insert(name, value);
            }
            Some(known) => join(known, value).map_err(|at| format!("{name}: {at}"))?,
        }
    }
    Ok(())
}

/// Adds to each operation the refusals that it has in common with others.
fn add_refusals(description: &mut Value) {
    let object = description.as_object_mut();
    let Some(refusals) = object.and_then(|members| members.remove("x-refusals")) else { return };
    let Some(paths) = description["paths"].as_object_mut() else { return };
    let operations = paths
        .values_mut()
        .filter_map(Value::as_object_mut)
        .flat_map(|path| path.iter_mut().filter(|(method, _)| METHODS.contains(&method.as_str())));
    for (_, operation) in operations {
        let open = operation["security"].as_array().is_some_and(Vec::is_empty);
        let kinds = [
            Some("everywhere"),
            (!open).then_some("withCredential"),
            operation["requestBody"].is_object().then_some("withBody"),
        ];
        for kind in kinds.into_iter().flatten() {
            add(&mut operation["responses"], refusals[kind].as_object());
        }
    }
}

/// An operation's own words go first.
fn add(responses: &mut Value, more: Option<&Map<String, Value>>) {
    let Some(responses) = responses.as_object_mut() else { return };
    for (status, refusal) in more.into_iter().flatten() {
        responses.entry(status).or_insert_with(|| refusal.clone());
    }
}
