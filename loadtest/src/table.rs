//! Rows and columns: for the terminal, for programs, and for a document.

use std::fmt::{Display, Formatter};

use serde_json::{Map, Value};

/// A table whose first column names the rows.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// What stands in a row and a column.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// A name.
    Text(String),
    /// A figure, if it could be measured.
    Figure(Option<f64>),
    /// How often another figure goes into it.
    Ratio(Option<f64>),
}

impl Cell {
    /// A name.
    pub(crate) fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    /// A ratio.
    pub(crate) fn ratio(value: Option<f64>) -> Cell {
        Cell::Ratio(value)
    }

    fn json(&self) -> Value {
        match self {
            Cell::Text(text) => text.clone().into(),
            Cell::Figure(value) | Cell::Ratio(value) => (*value).into(),
        }
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Cell {
        Cell::Figure(value)
    }
}

impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Cell::Text(text) => f.write_str(text),
            Cell::Figure(None) | Cell::Ratio(None) => f.write_str("–"),
            Cell::Figure(Some(value)) => f.write_str(&figure(*value)),
            Cell::Ratio(Some(value)) => write!(f, "{value:.2} x"),
        }
    }
}

impl Table {
    /// Without rows yet.
    pub(crate) fn new(title: impl Into<String>, columns: &[&'static str]) -> Table {
        Table { title: title.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row: a cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// What it is about.
    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// An array of one object a row.
    pub(crate) fn json(&self) -> Value {
        let object = |row: &Vec<Cell>| {
            let cells = self.columns.iter().zip(row);
            let cells = cells.map(|(name, cell)| (name.to_string(), cell.json()));
            Value::Object(cells.collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }

    /// The names of the columns and the rows, as people read them.
    pub(crate) fn shown(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let heads = self.columns.iter().map(|name| name.to_string()).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(Cell::to_string).collect());
        (heads, rows.collect())
    }

    /// As Markdown, aligned, so that it can also be read as it is.
    pub(crate) fn markdown(&self) -> String {
        let (heads, rows) = self.shown();
        let width = |column: usize| {
            let cells = rows.iter().chain([&heads]).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let rule = widths.iter().enumerate().map(|(column, &width)| match column {
            0 => "-".repeat(width),
            _ => "-".repeat(width.saturating_sub(1)) + ":",
        });
        let rule: Vec<String> = rule.collect();
        [&heads, &rule].into_iter().chain(&rows).map(|row| line(row, &widths)).collect()
    }
}

/// The first cell to the left, figures to the right.
fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, &width))| match column {
        0 => format!(" {cell:<width$} "),
        _ => format!(" {cell:>width$} "),
    });
    format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
}

/// With as many digits as it is worth.
fn figure(value: f64) -> String {
    match value {
        value if value.abs() >= 10_000.0 => grouped(value.round() as i64),
        value if value.abs() >= 100.0 => format!("{value:.0}"),
        value if value.abs() >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn grouped(value: i64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        let left = digits.len() - place;
        if place > 0 && left.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_by_people_and_programs() {
        let mut table = Table::new("Test", &["server", "µs"]);
        table.row(vec![Cell::text("Rill"), Some(1.234).into()]);
        table.row(vec![Cell::text("a loop"), None.into()]);
        let expected =
            "| server |   µs |\n| ------ | ---: |\n| Rill   | 1.23 |\n| a loop |    – |\n";
        assert_eq!(table.markdown(), expected);
        assert_eq!(table.json()[0]["µs"], 1.234);
    }

    #[test]
    fn figures_have_the_digits_that_they_are_worth() {
        let figures = [0.5, 12.34, 123.4, 1234.5, 1_234_567.8, -12_345.0];
        assert_eq!(figures.map(figure), ["0.50", "12.3", "123", "1234", "1,234,568", "-12,345"]);
    }
}
