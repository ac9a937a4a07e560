//! Plots as SVG files, in colours that can be read on light and dark ground.

use std::{error::Error, ops::Range, path::Path};

use plotters::{coord::Shift, prelude::*};

const TEXT: RGBColor = RGBColor(127, 127, 127);
const SERIES: [RGBColor; 4] = [
    RGBColor(59, 130, 246),
    RGBColor(217, 119, 6),
    RGBColor(5, 150, 105),
    RGBColor(168, 85, 247),
];
const WIDTH: u32 = 640;
const PANEL_HEIGHT: u32 = 190;
/// Of a panel's title.
const HEAD_HEIGHT: u32 = 28;
const FONT: &str = "sans-serif";
/// Sizes of letters, of which an SVG has four fifths.
const TITLE: i32 = 16;
const LABEL: i32 = 14;
/// More steps than this have no dots, and labels at some of them only.
const DOTTED: usize = 30;
const LABELS: usize = 8;

/// How figures grow with something.
#[derive(Debug)]
pub struct Plot {
    /// What they grow with.
    pub along: &'static str,
    /// Its values, as text: they stand at equal distances.
    pub steps: Vec<String>,
    /// One below the other.
    pub panels: Vec<Panel>,
}

/// Figures of one unit.
#[derive(Debug)]
pub struct Panel {
    /// What they are, and their unit.
    pub title: &'static str,
    /// Their names (one that stands alone needs none) and a value for each step.
    pub series: Vec<(&'static str, Vec<f64>)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl Plot {
    /// Prints the figures as a Markdown table.
    pub fn print(&self) {
        let columns = || self.panels.iter().flat_map(Panel::columns);
        let names: Vec<_> = columns().map(|(name, _)| name).collect();
        println!("| {} | {} |", self.along, names.join(" | "));
        println!("|--:|{}", "--:|".repeat(names.len()));
        for (index, step) in self.steps.iter().enumerate() {
            let cells: Vec<_> = columns().map(|(_, values)| number(values[index])).collect();
            println!("| {step} | {} |", cells.join(" | "));
        }
        println!();
    }

    /// Draws them into an SVG file.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn draw(&self, file: &Path) -> Result<(), Box<dyn Error>> {
        let size = (WIDTH, self.height()?);
        // No ground: that of the page shows.
        self.draw_on(&SVGBackend::new(file, size).into_drawing_area())
    }

    /// Draws them as an SVG element of this width.
    ///
    /// # Errors
    /// When they can't be drawn.
    pub fn svg(&self, width: u32) -> Result<String, Box<dyn Error>> {
        let mut text = String::new();
        let size = (width, self.height()?);
        self.draw_on(&SVGBackend::with_string(&mut text, size).into_drawing_area())?;
        Ok(text)
    }

    fn height(&self) -> Result<u32, Box<dyn Error>> {
        Ok(PANEL_HEIGHT * u32::try_from(self.panels.len())?)
    }

    fn draw_on(&self, root: &Area) -> Result<(), Box<dyn Error>> {
        let areas = root.split_evenly((self.panels.len(), 1));
        for (panel, area) in self.panels.iter().zip(&areas) {
            self.draw_panel(panel, area)?;
        }
        root.present()?;
        Ok(())
    }

    fn draw_panel(&self, panel: &Panel, area: &Area) -> Result<(), Box<dyn Error>> {
        let (head, body) = area.split_vertically(HEAD_HEIGHT);
        draw_head(panel, &head)?;
        let mut chart = ChartBuilder::on(&body)
            .margin(6)
            .margin_right(34)
            .x_label_area_size(34)
            .y_label_area_size(56)
            .build_cartesian_2d(self.range()?, 0.0..panel.top())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(TEXT.mix(0.25))
            .axis_style(TEXT)
            .label_style(text(LABEL))
            .x_desc(self.along)
            .x_labels(self.labels())
            .x_label_formatter(&|index| self.step(*index))
            .y_labels(4)
            .y_label_formatter(&|value| label(*value))
            .draw()?;
        for ((_, values), colour) in panel.series.iter().zip(SERIES) {
            let points: Vec<(i32, f64)> = (0..).zip(values.iter().copied()).collect();
            chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
            if self.steps.len() > DOTTED {
                continue;
            }
            let dot = |point| Circle::new(point, 3, colour.filled());
            chart.draw_series(points.into_iter().map(dot))?;
        }
        Ok(())
    }

    fn range(&self) -> Result<Range<i32>, Box<dyn Error>> {
        Ok(0..i32::try_from(self.steps.len().saturating_sub(1))?)
    }

    fn labels(&self) -> usize {
        match self.steps.len() {
            steps if steps > DOTTED => LABELS,
            steps => steps + 1,
        }
    }

    fn step(&self, index: i32) -> String {
        let index = usize::try_from(index).ok();
        let step = index.and_then(|index| self.steps.get(index));
        step.cloned().unwrap_or_default()
    }
}

/// The title, and at the right end the names of the series: no line runs through them there.
fn draw_head(panel: &Panel, area: &Area) -> Result<(), Box<dyn Error>> {
    area.draw(&Text::new(panel.title, (8, 8), text(TITLE)))?;
    if panel.series.len() < 2 {
        return Ok(());
    }
    let mut right = i32::try_from(area.dim_in_pixel().0)? - 34;
    for ((name, _), colour) in panel.series.iter().zip(SERIES).rev() {
        let (width, _) = area.estimate_text_size(name, &text(LABEL))?;
        right -= i32::try_from(width)?;
        area.draw(&Text::new(*name, (right, 10), text(LABEL)))?;
        let line = [(right - 17, 15), (right - 4, 15)];
        area.draw(&PathElement::new(line, colour.stroke_width(2)))?;
        right -= 28;
    }
    Ok(())
}

fn text(size: i32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&TEXT)
}

impl Panel {
    fn columns(&self) -> impl Iterator<Item = (String, &[f64])> {
        self.series.iter().map(|(name, values)| {
            let name = match *name {
                "" => self.title.to_owned(),
                name => format!("{}: {name}", self.title),
            };
            (name, values.as_slice())
        })
    }

    /// The upper end of its axis: some room above the largest value.
    fn top(&self) -> f64 {
        let values = self.series.iter().flat_map(|(_, values)| values);
        values.copied().fold(0.0, f64::max).max(1e-9) * 1.2
    }
}

/// Three digits or more.
fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// The same on an axis, where round values stand.
fn label(value: f64) -> String {
    let number = number(value);
    match number.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole.to_owned(),
        _ => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_is_an_svg_with_all_its_steps() {
        let plot = Plot {
            along: "sessions",
            steps: ["1", "20", "100"].map(str::to_owned).to_vec(),
            panels: vec![Panel {
                title: "latency, ms",
                series: vec![
                    ("median", vec![1.0, 2.0, 3.0]),
                    ("p99", vec![2.0, 4.0, 8.0]),
                ],
            }],
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        plot.draw(file.path()).unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        for word in ["<svg", "latency, ms", "sessions", "20\n", "100\n", "p99"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert_eq!(text.matches("<circle").count(), 6);
    }
}
