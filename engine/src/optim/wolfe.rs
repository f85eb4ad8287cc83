//! The line search of L-BFGS: a point on a ray that satisfies Wolfe's strong conditions (Nocedal and Wright,
//! *Numerical Optimization*, algorithms 3.5 and 3.6), with cubic interpolation.

use crate::error::Result;
use crate::tensor::Tensor;

/// A point of the ray: how far along, the loss, the gradient, and its component along the ray.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub t: f64,
    pub loss: f64,
    pub grad: Tensor,
    pub slope: f64,
}

/// Loss must fall by this share of what the slope promises.
const SUFFICIENT: f64 = 1e-4;
/// The slope must become flatter by this factor.
const CURVATURE: f64 = 0.9;
const TOLERANCE: f64 = 1e-9;
const MAX_ITERATIONS: usize = 25;

/// The point and how many evaluations it took. `reach` is the largest element of the direction.
pub(super) fn strong_wolfe(at: &mut dyn FnMut(f64) -> Result<Point>, t: f64, start: Point, reach: f64) -> Result<(Point, usize)> {
    let too_high = |p: &Point| p.loss > start.loss + SUFFICIENT * p.t * start.slope;
    let flat = |p: &Point| p.slope.abs() <= -CURVATURE * start.slope;
    let (mut new, mut calls, mut before, mut iteration) = (at(t)?, 1, start.clone(), 0);
    // Ever further, until two points have such a point between them.
    let mut bracket = loop {
        if iteration == MAX_ITERATIONS {
            break [start.clone(), new];
        }
        if too_high(&new) || (iteration > 1 && new.loss >= before.loss) {
            break [before, new];
        }
        if flat(&new) {
            return Ok((new, calls));
        }
        if new.slope >= 0.0 {
            break [before, new];
        }
        let bounds = (new.t + 0.01 * (new.t - before.t), new.t * 10.0);
        let t = interpolate(&before, &new, Some(bounds));
        before = new;
        new = at(t)?;
        calls += 1;
        iteration += 1;
    };
    let lower = |b: &[Point; 2]| if b[0].loss <= b[1].loss { 0 } else { 1 };
    let mut low = lower(&bracket);
    let mut stuck = false;
    while iteration < MAX_ITERATIONS {
        let (min, max) = (bracket[0].t.min(bracket[1].t), bracket[0].t.max(bracket[1].t));
        if (max - min) * reach < TOLERANCE {
            break;
        }
        let mut t = interpolate(&bracket[0], &bracket[1], None);
        // Twice too close to an end: away from it.
        let margin = 0.1 * (max - min);
        if (max - t).min(t - min) < margin {
            if stuck || t >= max || t <= min {
                t = if (t - max).abs() < (t - min).abs() { max - margin } else { min + margin };
                stuck = false;
            } else {
                stuck = true;
            }
        } else {
            stuck = false;
        }
        let new = at(t)?;
        calls += 1;
        iteration += 1;
        if too_high(&new) || new.loss >= bracket[low].loss {
            bracket[1 - low] = new;
            low = lower(&bracket);
            continue;
        }
        let done = flat(&new);
        if !done && new.slope * (bracket[1 - low].t - bracket[low].t) >= 0.0 {
            bracket[1 - low] = bracket[low].clone();
        }
        bracket[low] = new;
        if done {
            break;
        }
    }
    let [a, b] = bracket;
    Ok((if low == 0 { a } else { b }, calls))
}

/// The minimum of the cubic through two points with their slopes, within bounds.
fn interpolate(a: &Point, b: &Point, bounds: Option<(f64, f64)>) -> f64 {
    let (min, max) = bounds.unwrap_or((a.t.min(b.t), a.t.max(b.t)));
    let d1 = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.t - b.t);
    let square = d1 * d1 - a.slope * b.slope;
    if square < 0.0 || square.is_nan() {
        return (min + max) / 2.0;
    }
    let d2 = square.sqrt();
    let t = if a.t <= b.t {
        b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2))
    } else {
        a.t - (a.t - b.t) * ((a.slope + d2 - d1) / (a.slope - b.slope + 2.0 * d2))
    };
    t.max(min).min(max)
}
