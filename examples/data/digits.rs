//! 1,797 real handwritten digits, 8x8 pixels each, with a fixed division into training and test images.
//!
//! The files are compiled in, so an example runs from any directory. Where they come from, and how the
//! division was made: `README.md` beside this file.

use std::io::{Error, ErrorKind, Read, Result};

use flate2::read::GzDecoder;

/// Pixels along each side of an image.
pub const SIDE: usize = 8;
/// Pixels of an image.
pub const PIXELS: usize = SIDE * SIDE;
/// Labels run from 0 to `CLASSES - 1`.
pub const CLASSES: usize = 10;

/// The brightest pixel in the file: each pixel counts the inked dots of a 4x4 block.
const BRIGHTEST: u8 = 16;

/// The images, their labels, and which of them are for training and which for the test.
#[derive(Debug, Clone)]
pub struct Digits {
    /// [`PIXELS`] values per image, rows from the top, scaled to 0 (paper) .. 1 (ink).
    pub images: Vec<f32>,
    /// The digit that each image shows.
    pub labels: Vec<i64>,
    train: Vec<usize>,
    test: Vec<usize>,
}

impl Digits {
    /// Decompresses and reads the data set.
    ///
    /// # Errors
    /// The compiled-in files do not follow their format, which the tests of this module rule out.
    pub fn load() -> Result<Self> {
        let mut text = String::new();
        GzDecoder::new(include_bytes!("digits.csv.gz").as_slice()).read_to_string(&mut text)?;
        Self::parse(&text, include_str!("digits-split.txt"))
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image at all.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The training images, as indices in ascending order: four fifths of every class.
    pub fn train(&self) -> &[usize] {
        &self.train
    }

    /// The test images, as indices in ascending order: the other fifth.
    pub fn test(&self) -> &[usize] {
        &self.test
    }

    /// All images enlarged to `side` x `side` pixels, bilinearly: `side * side` values each.
    ///
    /// Like `torch.nn.functional.interpolate(.., mode="bilinear", align_corners=False)`: pixels are areas,
    /// and their centres are what lies at whole coordinates.
    pub fn enlarged(&self, side: usize) -> Vec<f32> {
        let weights: Vec<(usize, usize, f32)> = (0..side).map(|i| neighbours(i, side)).collect();
        let mut enlarged = Vec::with_capacity(self.len() * side * side);
        for image in self.images.chunks_exact(PIXELS) {
            for &(above, below, down) in &weights {
                for &(left, right, across) in &weights {
                    let row = |y: usize| mix(image[y * SIDE + left], image[y * SIDE + right], across);
                    enlarged.push(mix(row(above), row(below), down));
                }
            }
        }
        enlarged
    }

    /// `rows`: 64 pixels and the label, separated by commas; `split`: the indices of the test rows.
    fn parse(rows: &str, split: &str) -> Result<Self> {
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for (i, line) in rows.lines().enumerate() {
            let row = format!("digits.csv.gz, row {i}");
            let number = |value: &str| value.trim().parse::<u8>().map_err(|e| invalid(format!("{row}: {e}")));
            let values = line.split(',').map(number).collect::<Result<Vec<_>>>()?;
            let Some((&label, pixels)) = values.split_last().filter(|(_, pixels)| pixels.len() == PIXELS) else {
                return Err(invalid(format!("{row}: {} values instead of {}", values.len(), PIXELS + 1)));
            };
            if usize::from(label) >= CLASSES || pixels.iter().any(|&pixel| pixel > BRIGHTEST) {
                return Err(invalid(format!("{row}: a label past {} or a pixel past {BRIGHTEST}", CLASSES - 1)));
            }
            images.extend(pixels.iter().map(|&pixel| f32::from(pixel) / f32::from(BRIGHTEST)));
            labels.push(i64::from(label));
        }

        let mut is_test = vec![false; labels.len()];
        for line in split.lines().filter(|line| !line.starts_with('#')) {
            let index: usize = line.trim().parse().map_err(|e| invalid(format!("digits-split.txt: {line:?}: {e}")))?;
            match is_test.get_mut(index) {
                Some(seen) if !*seen => *seen = true,
                Some(_) => return Err(invalid(format!("digits-split.txt: row {index} is named twice"))),
                None => return Err(invalid(format!("digits-split.txt: row {index} of {}", labels.len()))),
            }
        }
        let (test, train) = (0..labels.len()).partition(|&i| is_test[i]);
        Ok(Digits { images, labels, train, test })
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidData, message)
}

/// The two pixels of a side of [`SIDE`] between which pixel `i` of a side of `side` falls, and how near it is
/// to the second. At the border both are the same pixel or the nearness is 0.
fn neighbours(i: usize, side: usize) -> (usize, usize, f32) {
    let at = ((i as f32 + 0.5) * SIDE as f32 / side as f32 - 0.5).max(0.0);
    let first = (at as usize).min(SIDE - 1);
    (first, (first + 1).min(SIDE - 1), at - first as f32)
}

/// `a` where `t` is 0, `b` where it is 1.
fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits() -> Digits {
        Digits::load().expect("the compiled-in data set is well-formed")
    }

    fn per_class(digits: &Digits, indices: &[usize]) -> [usize; CLASSES] {
        let mut counts = [0; CLASSES];
        indices.iter().for_each(|&i| counts[digits.labels[i] as usize] += 1);
        counts
    }

    #[test]
    fn there_are_1797_images_of_ten_classes_between_paper_and_ink() {
        let digits = digits();
        assert_eq!((digits.len(), digits.images.len()), (1797, 1797 * PIXELS));
        assert!(digits.images.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        let all: Vec<usize> = (0..digits.len()).collect();
        assert_eq!(per_class(&digits, &all), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        // The first row of the file: a zero.
        assert_eq!((digits.labels[0], &digits.images[..5]), (0, &[0.0, 0.0, 5.0 / 16.0, 13.0 / 16.0, 9.0 / 16.0][..]));
    }

    #[test]
    fn the_split_is_stratified_and_covers_every_image_once() {
        let digits = digits();
        assert_eq!((digits.train().len(), digits.test().len()), (1438, 359));
        let mut all = [digits.train(), digits.test()].concat();
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..digits.len()));
        let (train, test) = (per_class(&digits, digits.train()), per_class(&digits, digits.test()));
        for class in 0..CLASSES {
            let share = test[class] as f64 / (train[class] + test[class]) as f64;
            assert!((share - 0.2).abs() < 0.005, "class {class}: {share}");
        }
    }

    /// The rule of `README.md`, which made the committed file.
    #[test]
    fn the_split_is_the_one_its_rule_makes() {
        // SplitMix64, seed 0.
        let mut state = 0_u64;
        let mut random = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        };
        let digits = digits();
        let mut test: Vec<usize> = Vec::new();
        for class in 0..CLASSES as i64 {
            let mut rows: Vec<usize> = (0..digits.len()).filter(|&i| digits.labels[i] == class).collect();
            for i in (1..rows.len()).rev() {
                rows.swap(i, (random() % (i as u64 + 1)) as usize);
            }
            test.extend(&rows[..(rows.len() + 2) / 5]);
        }
        test.sort_unstable();
        assert_eq!(digits.test(), test);
    }

    #[test]
    fn enlarging_keeps_the_size_it_has_and_interpolates_to_others() {
        let mut digits = digits();
        assert_eq!(digits.enlarged(SIDE), digits.images);

        // A ramp from left to right. At twice the size the new centres lie a quarter to either side of the old
        // ones, and the border repeats: the values that PyTorch's bilinear interpolation gives.
        digits.images = (0..PIXELS).map(|i| (i % SIDE) as f32).collect();
        digits.labels.truncate(1);
        let ramp = digits.enlarged(2 * SIDE);
        assert_eq!(&ramp[..5], [0.0, 0.25, 0.75, 1.25, 1.75]);
        assert_eq!(ramp[2 * SIDE - 2..2 * SIDE], [6.75, 7.0]);
        assert!(ramp.chunks_exact(2 * SIDE).all(|row| row == &ramp[..2 * SIDE]));
        assert_eq!(digits.enlarged(28).len(), 28 * 28);
    }

    #[test]
    fn files_that_break_their_format_are_errors_that_name_the_row() {
        let row = |label: &str| ["16"; PIXELS].join(",") + "," + label;
        let error = |rows: &str, split: &str| Digits::parse(rows, split).expect_err("a malformed file").to_string();
        assert!(error("1,2,3", "").contains("row 0: 3 values instead of 65"));
        assert!(error(&row("10"), "").contains("row 0: a label past 9"));
        assert!(error(&row("x"), "").contains("row 0: invalid digit"));
        assert!(error(&row("1"), "# comment\n1\n").contains("row 1 of 1"));
        assert!(error(&row("1"), "0\n0\n").contains("named twice"));
    }
}
