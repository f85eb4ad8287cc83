//! Counting n-grams of token numbers.

use std::collections::HashMap;

use taper::{DType, Error, Result};

use super::{Operator, op};
use crate::call::{Call, Out, one};
use crate::host::{Data, Host};

pub(super) static TABLE: &[Operator] = &[op("TfIdfVectorizer", 9, tf_idf)];

/// The n-grams to count, and where each count goes.
fn pool(c: &Call<'_>) -> Result<HashMap<Vec<i64>, usize>> {
    if c.texts("pool_strings")?.is_some_and(|p| !p.is_empty()) {
        return Err(Error::unsupported("onnx", "n-grams of strings"));
    }
    let tokens = c.list("pool_int64s")?.unwrap_or_default();
    let starts = c.list("ngram_counts")?.unwrap_or_default();
    let places = c.list("ngram_indexes")?.unwrap_or_default();
    let mut grams = HashMap::new();
    let mut id = 0;
    for (i, &start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(tokens.len() as i64);
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok()).and_then(|(s, e)| tokens.get(s..e));
        let range = range.ok_or_else(|| c.error(format!("{}-grams from {start} to {end} of {} tokens", i + 1, tokens.len())))?;
        for gram in range.chunks_exact(i + 1) {
            let place = places.get(id).and_then(|&p| usize::try_from(p).ok()).filter(|&p| p < 1 << 28);
            grams.insert(gram.to_vec(), place.ok_or_else(|| c.error(format!("no place for the count of n-gram {id}")))?);
            id += 1;
        }
    }
    Ok(grams)
}

fn tf_idf(c: &Call<'_>) -> Out {
    let x = c.host(0)?;
    let tokens = x.to_ints()?;
    let grams = pool(c)?;
    let limits = c.sizes(&[c.int("min_gram_length", 1)?, c.int("max_gram_length", 1)?, c.int("max_skip_count", 0)?])?;
    let width = c.list("ngram_indexes")?.unwrap_or_default().iter().max().map_or(0, |&m| m.clamp(-1, 1 << 30) + 1) as usize;
    let (rows, columns) = match x.shape[..] {
        [] => (1, 1),
        [n] => (1, n),
        [rows, n] => (rows, n),
        _ => return Err(c.error(format!("tokens of {:?}", x.shape))),
    };
    if rows.saturating_mul(width) > 1 << 26 {
        return Err(c.error(format!("{width} counts for each of {rows} rows")));
    }
    let (shortest, longest, skips) = (limits[0].max(1), limits[1].min(columns), limits[2].min(columns));
    let mut counts = vec![0.0; rows * width];
    for row in 0..rows {
        let own = &tokens[row * columns..(row + 1) * columns];
        for skip in 1..=skips + 1 {
            // Single tokens have no gaps: they count once.
            for length in shortest..=longest {
                if length == 1 && skip > 1 {
                    continue;
                }
                let reach = skip.saturating_mul(length - 1);
                for start in 0..columns.saturating_sub(reach) {
                    let gram: Vec<i64> = (0..length).map(|i| own[start + i * skip]).collect();
                    if let Some(&place) = grams.get(&gram) {
                        counts[row * width + place] += 1.0;
                    }
                }
            }
        }
    }
    let weights = c.float_list("weights")?.unwrap_or_default();
    // A weight for each n-gram, used where its count is.
    let weight = |i: usize| weights.get(i % width.max(1)).copied().unwrap_or(1.0);
    let mode = c.text("mode", "")?;
    for (i, count) in counts.iter_mut().enumerate() {
        *count = match mode {
            "TF" => *count,
            "IDF" => weight(i) * (*count > 0.0) as i64 as f64,
            "TFIDF" => weight(i) * *count,
            other => return Err(c.error(format!("no mode '{other}'"))),
        };
    }
    let shape = if x.shape.len() == 2 { vec![rows, width] } else { vec![width] };
    one(Host::of(DType::F32, shape, Data::Floats(counts)).tensor(c.device)?)
}
