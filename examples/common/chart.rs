//! Learning curves as SVG.

use std::path::Path;

use plotters::prelude::*;
use taper::{Error, Result};

/// A line of a chart: its name and its points.
#[derive(Debug, Clone)]
pub struct Curve {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

impl Curve {
    /// A curve over 1, 2, ..
    pub fn new(name: &str, values: &[f64]) -> Curve {
        Curve { name: name.into(), points: values.iter().enumerate().map(|(i, &y)| (i as f64 + 1.0, y)).collect() }
    }
}

/// Draws losses over the left axis and, if there is one, an accuracy from 0 to 1 over the right axis.
///
/// # Errors
/// The picture cannot be written.
pub fn learning_curve(path: &Path, title: &str, x: &str, losses: &[Curve], accuracy: Option<&Curve>) -> Result<()> {
    draw(path, title, x, losses, accuracy).map_err(|e| Error::Io { path: path.display().to_string(), message: e.to_string() })
}

fn draw(
    path: &Path,
    title: &str,
    x: &str,
    losses: &[Curve],
    accuracy: Option<&Curve>,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let finite = || losses.iter().flat_map(|c| &c.points).filter(|p| p.1.is_finite());
    let right = finite().map(|p| p.0).fold(2.0, f64::max);
    let top = finite().map(|p| p.1).fold(1e-6, f64::max) * 1.05;
    let lowest = accuracy.map_or(0.0, |a| (a.points.iter().map(|p| p.1).fold(1.0, f64::min) * 20.0).floor() / 20.0).min(0.95);

    let area = SVGBackend::new(path, (800, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut builder = ChartBuilder::on(&area);
    builder.margin(16).caption(title, ("sans-serif", 20)).x_label_area_size(40).y_label_area_size(60).right_y_label_area_size(60);
    let mut chart = builder.build_cartesian_2d(1.0..right, 0.0..top)?.set_secondary_coord(1.0..right, lowest..1.0);
    chart.configure_mesh().light_line_style(WHITE).x_desc(x).y_desc("loss").draw()?;
    for (i, curve) in losses.iter().enumerate() {
        let color = Palette99::pick(i).to_rgba();
        let points = curve.points.iter().copied().filter(|p| p.1.is_finite());
        let drawn = chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
        drawn.label(&curve.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    if let Some(curve) = accuracy {
        let color = Palette99::pick(losses.len()).to_rgba();
        chart.configure_secondary_axes().y_desc("accuracy").draw()?;
        let drawn = chart.draw_secondary_series(LineSeries::new(curve.points.iter().copied(), color.stroke_width(2)))?;
        drawn.label(&curve.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    chart.configure_series_labels().position(SeriesLabelPosition::MiddleRight).background_style(WHITE).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}
