//! Puts measured tables into a document, between two marks that name them. What stands there is made
//! anew and never typed.

use std::path::Path;

use crate::failure::{Failure, While};

/// Replaces what stands between `<!-- NAME -->` and `<!-- /NAME -->` in a file.
pub(crate) fn insert(path: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let document = std::fs::read_to_string(path).while_("reading the document")?;
    let changed = replaced(&document, name, text)
        .ok_or_else(|| Failure::NoPlace { path: path.to_owned(), name: name.to_owned() })?;
    std::fs::write(path, changed).while_("writing the document")
}

/// Fails when there is no place for it, before hours are spent on measuring.
pub(crate) fn check(path: &Path, name: &str) -> Result<(), Failure> {
    let document = std::fs::read_to_string(path).while_("reading the document")?;
    replaced(&document, name, "")
        .map(drop)
        .ok_or_else(|| Failure::NoPlace { path: path.to_owned(), name: name.to_owned() })
}

fn replaced(document: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{}\n{end}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let document = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n";
        let once = replaced(document, "x", "new\n").unwrap();
        assert_eq!(once, "a\n<!-- x -->\nnew\n<!-- /x -->\nb\n");
        assert_eq!(replaced(&once, "x", "new").unwrap(), once, "again is the same");
        assert_eq!(replaced(document, "y", "new"), None);
        assert_eq!(replaced("<!-- x -->\n", "x", "new"), None);
    }
}
