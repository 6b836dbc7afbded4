//! Draws lines over time as SVG that is readable on a phone, and follows the reader's choice of a
//! light or dark page.

use std::fmt::Write;
use std::io;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

/// So much for labels of this size, which can still be read where it is shown half as wide.
const SIZE: (u32, u32) = (720, 440);

/// Heights above the lines: the title, and the legend under it.
const HEADS: (u32, u32) = (56, 38);

/// Label and title sizes in plotters' measure, in which 1.24 is a pixel.
const LABEL: f64 = 26.0;
const TITLE: f64 = 30.0;

/// A colour on light paper and its counterpart on dark paper.
struct Tone(RGBColor, RGBColor);

const PAPER: Tone = Tone(RGBColor(255, 255, 255), RGBColor(24, 28, 33));
const INK: Tone = Tone(RGBColor(36, 41, 47), RGBColor(222, 226, 230));
const FAINT: Tone = Tone(RGBColor(225, 228, 232), RGBColor(56, 62, 70));

/// Of the lines, from the last one to the first; they differ for the colour-blind too.
const LINES: [Tone; 4] = [
    Tone(RGBColor(0, 104, 178), RGBColor(88, 174, 240)),
    Tone(RGBColor(196, 88, 0), RGBColor(245, 156, 76)),
    Tone(RGBColor(140, 70, 160), RGBColor(206, 150, 226)),
    Tone(RGBColor(125, 135, 145), RGBColor(140, 150, 160)),
];

/// One chart.
pub(super) struct Plot {
    pub(super) title: &'static str,
    pub(super) scale: Scale,
    /// The last one is drawn on top.
    pub(super) lines: Vec<Line>,
}

/// How values are put on the vertical axis.
pub(super) enum Scale {
    /// From zero.
    Linear,
    /// Microseconds in powers of ten.
    Latency,
}

/// One line, which may be interrupted.
pub(super) struct Line {
    /// Empty where the title says it all.
    pub(super) name: &'static str,
    /// Seconds and values.
    pub(super) parts: Vec<Vec<(f64, f64)>>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

impl Line {
    fn values(&self) -> impl Iterator<Item = f64> {
        self.parts.iter().flatten().map(|(_, value)| *value)
    }
}

impl Plot {
    /// Whether there is nothing to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.visible().next().is_none()
    }

    /// As SVG, with an axis of so many seconds, at least one.
    pub(super) fn draw(&self, seconds: f64) -> io::Result<String> {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        self.draw_on(&area, seconds.max(1.0))
            .map_err(|error| io::Error::other(error.to_string()))?;
        drop(area);
        let body = svg.find('>').map_or(svg.len(), |end| end + 1);
        svg.insert_str(body, &format!("\n<title>{}</title>\n{}", self.title, night()));
        Ok(svg)
    }

    /// The lines that have something on them, with their colours.
    fn visible(&self) -> impl Iterator<Item = (&Line, RGBColor)> {
        let tones = LINES.iter().rev().skip(LINES.len() - self.lines.len());
        let lines = self.lines.iter().zip(tones).map(|(line, tone)| (line, tone.0));
        lines.filter(|(line, _)| line.values().next().is_some())
    }

    fn draw_on(&self, area: &Area<'_>, seconds: f64) -> Drawn {
        area.fill(&PAPER.0)?;
        let (head, body) = area.split_vertically(HEADS.0);
        self.draw_title(&head)?;
        if self.visible().any(|(line, _)| !line.name.is_empty()) {
            let (legend, body) = body.split_vertically(HEADS.1);
            self.draw_legend(&legend)?;
            return self.draw_body(&body, seconds);
        }
        self.draw_body(&body, seconds)
    }

    fn draw_body(&self, area: &Area<'_>, seconds: f64) -> Drawn {
        let values = || self.visible().flat_map(|(line, _)| line.values());
        let highest = values().fold(0.0, f64::max);
        match self.scale {
            Scale::Linear => {
                let top = if highest > 0.0 { highest * 1.08 } else { 1.0 };
                self.draw_lines(area, seconds, 0.0..top, &short)
            }
            Scale::Latency => {
                let lowest = values().fold(f64::INFINITY, f64::min);
                self.draw_lines(area, seconds, decades(lowest, highest).log_scale(), &time)
            }
        }
    }

    fn draw_title(&self, area: &Area<'_>) -> Drawn {
        let style = font(TITLE).style(FontStyle::Bold).color(&INK.0);
        area.draw(&Text::new(self.title, (24, 16), style))
    }

    /// The lines' names beside their colours.
    fn draw_legend(&self, area: &Area<'_>) -> Drawn {
        let lines: Vec<_> = self.visible().collect();
        let mut x = 24;
        for (line, color) in lines.into_iter().rev() {
            area.draw(&Rectangle::new([(x, 12), (x + 28, 18)], color.filled()))?;
            area.draw(&Text::new(line.name, (x + 38, 2), font(LABEL).color(&INK.0)))?;
            x += 76 + 13 * line.name.len() as i32;
        }
        Ok(())
    }

    fn draw_lines<Y>(
        &self,
        area: &Area<'_>,
        seconds: f64,
        values: Y,
        label: &dyn Fn(&f64) -> String,
    ) -> Drawn
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let (unit, length) = unit_of(seconds);
        let mut chart = ChartBuilder::on(area)
            .margin_top(14)
            .margin_right(40)
            .margin_bottom(10)
            .x_label_area_size(44)
            .y_label_area_size(104)
            .build_cartesian_2d(0.0..(seconds / length), values)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(FAINT.0)
            .light_line_style(TRANSPARENT)
            .axis_style(FAINT.0)
            .set_tick_mark_size(LabelAreaPosition::Bottom, 12)
            .label_style(font(LABEL).color(&INK.0))
            .x_labels(7)
            .y_labels(6)
            .x_label_formatter(&|x| format!("{} {unit}", short(x)))
            .y_label_formatter(label)
            .draw()?;
        for (line, color) in self.visible() {
            let style = color.stroke_width(2);
            for part in &line.parts {
                let points: Vec<(f64, f64)> = part.iter().map(|(x, y)| (x / length, *y)).collect();
                chart.plotting_area().draw(&PathElement::new(points, style))?;
            }
        }
        area.present()
    }
}

fn font(size: f64) -> FontDesc<'static> {
    ("sans-serif", size).into_font()
}

/// The style that turns the drawing's colours into those for dark paper, wherever they are.
fn night() -> String {
    let hex = |RGBColor(red, green, blue): RGBColor| format!("#{red:02X}{green:02X}{blue:02X}");
    let mut style = String::from("<style>@media (prefers-color-scheme: dark) {");
    for Tone(light, dark) in [PAPER, INK, FAINT].iter().chain(&LINES) {
        for attribute in ["fill", "stroke"] {
            let (light, dark) = (hex(*light), hex(*dark));
            // A string has room for everything.
            let _ = write!(style, "\n[{attribute}=\"{light}\"] {{ {attribute}: {dark} }}");
        }
    }
    style + "\n}</style>"
}

/// The unit in which a time axis has short labels, and its seconds.
fn unit_of(seconds: f64) -> (&'static str, f64) {
    match seconds {
        ..240.0 => ("s", 1.0),
        ..14_400.0 => ("min", 60.0),
        _ => ("h", 3600.0),
    }
}

/// The powers of ten around these values.
fn decades(lowest: f64, highest: f64) -> Range<f64> {
    let below = lowest.log10().floor();
    10f64.powf(below)..10f64.powf(highest.log10().ceil().max(below + 1.0))
}

/// A number as a label: no more digits than it needs.
fn short(value: &f64) -> String {
    let trimmed = |value: f64| {
        let digits = format!("{value:.6}");
        digits.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match *value {
        value if value >= 1e6 => trimmed(value / 1e6) + " M",
        value if value >= 1e3 => trimmed(value / 1e3) + " k",
        value => trimmed(value),
    }
}

/// Microseconds as a label.
fn time(micros: &f64) -> String {
    match *micros {
        micros if micros >= 1e6 => short(&(micros / 1e6)) + " s",
        micros if micros >= 1e3 => short(&(micros / 1e3)) + " ms",
        micros => short(&micros) + " µs",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short() {
        let numbers = [0.0, 0.30000000000000004, 0.0005, 900.0, 2_500.0, 1_500_000.0];
        assert_eq!(
            numbers.map(|number| short(&number)),
            ["0", "0.3", "0.0005", "900", "2.5 k", "1.5 M"]
        );
        assert_eq!([1.0, 1e4, 1e7].map(|micros| time(&micros)), ["1 µs", "10 ms", "10 s"]);
    }

    #[test]
    fn powers_of_ten_enclose_the_values() {
        assert_eq!(decades(120.0, 80_000.0), 100.0..100_000.0);
        assert_eq!(decades(100.0, 100.0), 100.0..1_000.0);
    }

    #[test]
    fn a_flat_line_at_zero_can_be_drawn() {
        let line = Line { name: "", parts: vec![vec![(0.0, 0.0), (5.0, 0.0)]] };
        let plot = Plot { title: "Nothing", scale: Scale::Linear, lines: vec![line] };
        let svg = plot.draw(5.0).unwrap();
        assert!(svg.contains("<title>Nothing</title>") && svg.contains("5 s"), "{svg}");
    }
}
