//! What it costs to check a publisher's body and to make its data compact, by size and by shape.
//!
//! Look for: time grows with the bytes and not with what they are; no shape is far above the others,
//! or one publisher could keep a core busy with bodies that are made for it.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use rill::json::Object;

const SIZES: [(&str, usize); 5] = [
    ("100 B", 100),
    ("1 KB", 1 << 10),
    ("16 KB", 16 << 10),
    ("64 KB", 64 << 10),
    ("256 KB", 256 << 10),
];

/// As a backend writes it: numbers, texts, escapes, white space.
const RECORD: &str = r#"{ "id": 12345678, "name": "A \"name\" \u00e9", "tags": [1, 2.50, null] }"#;

/// A body of about a size.
type Shape = fn(usize) -> String;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(20)
        .configure_from_args();
    let shapes: [(&str, Shape); 6] = [
        ("records", |size| data(&format!("[{}]", list(RECORD, size)))),
        ("one text", |size| data(&format!("\"{}\"", "x".repeat(size)))),
        ("escapes", |size| data(&format!("\"{}\"", r"\ud83d\ude00".repeat(size / 12 + 1)))),
        ("white space", |size| data(&format!("[{}1]", " ".repeat(size)))),
        ("short numbers", |size| data(&format!("[{}]", list("1", size)))),
        ("members", |size| format!("{{{}}}", members(size))),
    ];
    for (shape, body) in shapes {
        let mut group = criterion.benchmark_group(format!("json/{shape}"));
        for (name, size) in SIZES {
            let body = body(size);
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| {
                    let object = Object::parse(black_box(body.as_bytes())).expect("an object");
                    object.json("data").expect("data")
                });
            });
        }
        group.finish();
    }
    criterion.final_summary();
}

fn data(value: &str) -> String {
    format!(r#"{{ "event": "update", "data": {value} }}"#)
}

/// One value again and again, up to about this size.
fn list(value: &str, size: usize) -> String {
    vec![value; size / (value.len() + 2) + 1].join(", ")
}

/// Members of the outermost object, each with another name.
fn members(size: usize) -> String {
    let count = size / "\"member-1234\":0,".len() + 1;
    (0..count).map(|number| format!("\"member-{number}\":0")).collect::<Vec<_>>().join(",")
}
