//! What a cursor costs: to write it once for each event, and to read what a returning client sent.
//!
//! Look for: tens of nanoseconds; and that nonsense, however long, costs no more than to look at it.

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use rill::cursor::{Cursor, Epoch, Position, Requested};

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(20)
        .configure_from_args();
    let position = Position::new(1_642_678_901_234, 7).expect("in range");
    let cursor = Cursor { position, epoch: Epoch::from_bits(0xab) };
    criterion.bench_function("cursor/write", |bencher| {
        bencher.iter(|| black_box(cursor).to_string());
    });
    let digits = "1".repeat(8 << 10);
    for (name, text) in [
        ("whole", cursor.to_string().as_str()),
        ("without epoch", "1642678901234-7"),
        ("stamp", "1642678901234"),
        ("another server's", "00000000-0000-0000-0000-000000000000"),
        ("8 KB of digits", digits.as_str()),
        ("8 KB of digits and a sequence", format!("{digits}-1").as_str()),
    ] {
        criterion.bench_function(&format!("cursor/read/{name}"), |bencher| {
            bencher.iter(|| Requested::parse(black_box(text.as_bytes())));
        });
    }
    criterion.final_summary();
}
