//! What shares memory and what does not: views against a model of storages and positions, results against their inputs.

use std::cell::RefCell;
use std::rc::Rc;

use taper::{DType, Device, Result, Tensor, with_eager};
use taper_tests::{Rng, amount, for_each_device, read};

// ---- a model of storages ----------------------------------------------------------------------

/// A tensor of the model: which places of a storage it shows.
#[derive(Clone)]
struct Model {
    storage: Rc<RefCell<Vec<f64>>>,
    at: Vec<usize>,
    shape: Vec<usize>,
    /// A view of something that shows a place twice: a write to it may be refused.
    tangled: bool,
}

impl Model {
    fn new(values: Vec<f64>, shape: &[usize]) -> Model {
        Model { at: (0..values.len()).collect(), storage: Rc::new(RefCell::new(values)), shape: shape.to_vec(), tangled: false }
    }

    fn values(&self) -> Vec<f64> {
        self.at.iter().map(|&i| self.storage.borrow()[i]).collect()
    }

    /// Elements of the result by their coordinates in this one.
    fn view(&self, shape: &[usize], from: impl Fn(&[usize]) -> Vec<usize>) -> Model {
        let strides = |s: &[usize]| -> Vec<usize> { (0..s.len()).map(|d| s[d + 1..].iter().product()).collect() };
        let (mine, theirs) = (strides(&self.shape), strides(shape));
        let at = (0..shape.iter().product::<usize>())
            .map(|i| {
                let c: Vec<usize> = (0..shape.len()).map(|d| i / theirs[d] % shape[d]).collect();
                self.at[from(&c).iter().zip(&mine).map(|(c, s)| c * s).sum::<usize>()]
            })
            .collect();
        Model { storage: self.storage.clone(), at, shape: shape.to_vec(), tangled: self.tangled || self.repeats() }
    }

    fn write(&self, values: &[f64]) {
        for (&i, v) in self.at.iter().zip(values) {
            self.storage.borrow_mut()[i] = *v;
        }
    }

    fn repeats(&self) -> bool {
        let mut at = self.at.clone();
        at.sort_unstable();
        at.windows(2).any(|w| w[0] == w[1])
    }

    /// Laid out as a contiguous tensor would be: `contiguous()` and `reshape` of anything else may copy.
    fn in_order(&self) -> bool {
        self.at.windows(2).all(|w| w[1] == w[0] + 1)
    }
}

struct World {
    pairs: Vec<(Tensor, Model)>,
    text: Vec<String>,
}

/// One random step, to a tensor and to its model.
fn step(w: &mut World, rng: &mut Rng, device: &Device) -> Result<()> {
    if w.pairs.is_empty() || rng.one_in(12) {
        let shape: Vec<usize> = (0..rng.below(4)).map(|_| 1 + rng.below(4)).collect();
        let n = shape.iter().product::<usize>();
        let values: Vec<f64> = (0..n).map(|_| rng.below(9) as f64 - 4.0).collect();
        let t = Tensor::from_vec(values.iter().map(|&v| v as f32).collect::<Vec<f32>>(), &shape, device)?;
        w.text.push(format!("t{} = data {shape:?}", w.pairs.len()));
        w.pairs.push((t, Model::new(values, &shape)));
        return Ok(());
    }
    let i = rng.below(w.pairs.len());
    let (t, m) = w.pairs[i].clone();
    let (shape, rank) = (m.shape.clone(), m.shape.len());
    let d = rng.below(rank);
    let with = |size: usize| {
        let mut s = shape.clone();
        s[d] = size;
        s
    };
    let (text, view) = match rng.below(13) {
        0 if rank > 1 => {
            let mut order: Vec<usize> = (0..rank).collect();
            for k in (1..rank).rev() {
                order.swap(k, rng.below(k + 1));
            }
            let to: Vec<usize> = order.iter().map(|&o| shape[o]).collect();
            let model = m.view(&to, |c| (0..rank).map(|d| c[order.iter().position(|&o| o == d).unwrap_or(0)]).collect());
            (format!("permute({order:?})"), (t.permute(&order)?, model))
        }
        1 if rank > 0 => {
            let (start, step) = (rng.below(shape[d] + 1), 1 + rng.below(2));
            let len = (shape[d] - start).div_ceil(step);
            let model = m.view(&with(len), |c| (0..rank).map(|k| if k == d { start + c[k] * step } else { c[k] }).collect());
            (format!("slice({d}, {start}, .., {step})"), (t.slice(d as isize, start as isize, isize::MAX, step as isize)?, model))
        }
        2 if rank > 0 => {
            let model = m.view(&shape, |c| (0..rank).map(|k| if k == d { shape[d] - 1 - c[k] } else { c[k] }).collect());
            (format!("flip({d})"), (t.flip(d)?, model))
        }
        3 if rank > 0 && shape[d] > 0 => {
            let at = rng.below(shape[d]);
            let to: Vec<usize> = (0..rank).filter(|&k| k != d).map(|k| shape[k]).collect();
            let model = m.view(&to, |c| (0..rank).map(|k| if k == d { at } else { c[k - (k > d) as usize] }).collect());
            (format!("select({d}, {at})"), (t.select(d as isize, at as isize)?, model))
        }
        4 if rank < 4 => {
            let mut to = shape.clone();
            to.insert(d, 1);
            let model = m.view(&to, |c| (0..rank).map(|k| c[k + (k >= d) as usize]).collect());
            (format!("unsqueeze({d})"), (t.unsqueeze(d as isize)?, model))
        }
        5 if rank < 4 => {
            let to: Vec<usize> = [&[2], &shape[..]].concat();
            let model = m.view(&to, |c| c[1..].to_vec());
            ("expand".into(), (t.expand(&to)?, model))
        }
        6 if rank > 1 && shape[0] > 0 && shape[1] > 0 => {
            let n = shape[0].min(shape[1]);
            let to: Vec<usize> = [&shape[2..], &[n]].concat();
            let model = m.view(&to, |c| [&[c[rank - 2], c[rank - 2]], &c[..rank - 2]].concat());
            ("diagonal".into(), (t.diagonal(0, 0, 1)?, model))
        }
        7 if m.in_order() => ("flatten".into(), (t.flatten(0, -1)?, Model { shape: vec![m.at.len()], ..m.clone() })),
        8 => ("add(1)".into(), (t.add(1.0)?, Model::new(m.values().iter().map(|v| v + 1.0).collect(), &shape))),
        9 => {
            w.text.push(format!("t{i}.add_(1)"));
            let result = t.add_(1.0).map(drop);
            if m.repeats() {
                // Which of several writes to one place wins is nobody's to say.
                assert!(result.is_err(), "a write to a place that is shown twice was accepted: {:?}", shape);
            } else if !(m.tangled && result.is_err()) {
                result?;
                m.write(&m.values().iter().map(|v| v + 1.0).collect::<Vec<_>>());
            }
            return Ok(());
        }
        10 => {
            let same: Vec<usize> = (0..w.pairs.len()).filter(|&j| w.pairs[j].1.shape == shape).collect();
            let j = *rng.pick(&same);
            let (source, sm) = w.pairs[j].clone();
            w.text.push(format!("t{i}.copy_(t{j})"));
            if !m.repeats() {
                match t.copy_(&source) {
                    Err(_) if m.tangled => {}
                    result => {
                        result?;
                        m.write(&sm.values());
                    }
                }
            }
            return Ok(());
        }
        11 => {
            if !m.repeats() {
                w.text.push(format!("t{i}.fill_(2)"));
                match t.fill_(2.0) {
                    Err(_) if m.tangled => {}
                    result => {
                        result?;
                        m.write(&vec![2.0; m.at.len()]);
                    }
                }
            }
            return Ok(());
        }
        _ => ("detach".into(), (t.detach()?, m.view(&shape, |c| c.to_vec()))),
    };
    w.text.push(format!("t{} = t{i}.{text}   # {:?}", w.pairs.len(), view.1.shape));
    w.pairs.push(view);
    Ok(())
}

/// Runs a program and names the first tensor that differs from its model.
fn run(seed: u64, device: &Device, eager: bool) -> Result<Option<String>> {
    with_eager(eager, || {
        let mut rng = Rng(seed);
        let mut w = World { pairs: Vec::new(), text: Vec::new() };
        let length = 4 + rng.below(24);
        for _ in 0..length {
            if let Err(e) = step(&mut w, &mut rng, device) {
                return Ok(Some(format!("{}\n{e}", w.text.join("\n"))));
            }
            if rng.one_in(6) {
                device.flush()?;
            }
        }
        for (i, (t, m)) in w.pairs.iter().enumerate() {
            let (got, want) = (read(t)?, m.values());
            if got != want || t.shape() != m.shape {
                return Ok(Some(format!("{}\nt{i}: {:?} {got:?}, expected {:?} {want:?}", w.text.join("\n"), t.shape(), m.shape)));
            }
        }
        Ok(None)
    })
}

#[test]
fn views_show_and_write_what_they_share() {
    for_each_device(|device| {
        for seed in 0..amount(if device.is_cpu() { 2000 } else { 150 }) as u64 {
            if let Some(why) = run(seed, device, false)? {
                panic!("program {seed} on {device}:\n{why}");
            }
            if device.is_cpu() && seed % 4 == 0 {
                assert_eq!(run(seed, device, true)?, None, "program {seed} on {device}, eager");
            }
        }
        Ok(())
    });
}

/// `y = op(x)`; writing to `y` must not be seen in `x`, nor the other way round.
#[test]
fn results_share_nothing_with_their_inputs() {
    type Op = fn(&Tensor) -> Result<Tensor>;
    let ops: &[(&str, Op)] = &[
        ("add 0", |x| x.add(0.0)),
        ("mul 1", |x| x.mul(1)),
        ("mul 1.0", |x| x.mul(1.0)),
        ("sub 0", |x| x.sub(0)),
        ("div 1", |x| x.div(1.0)),
        ("pow 1", |x| x.pow(1.0)),
        ("abs", |x| x.abs()),
        ("relu", |x| x.relu()),
        ("clamp", |x| x.clamp(Some(-1e9), Some(1e9))),
        ("where", |x| x.where_(&x.eq(x)?, x)),
        ("masked_fill", |x| x.masked_fill(&x.ne(x)?, 0.0)),
        ("maximum", |x| x.maximum(x)),
        ("lerp", |x| x.lerp(x, 0.5)),
        ("pad 0", |x| x.pad([0, 0], "constant", 0.0)),
        ("roll 0", |x| x.roll([0], [0])),
        ("repeat 1", |x| x.repeat([1, 1])),
        ("cat of one", |x| Tensor::cat(&[x], 0)),
        ("stack of one", |x| Tensor::stack(&[x], 0)?.select(0, 0)),
        ("slice_assign of nothing", |x| x.slice_assign((0..0, ..), &x.narrow(0, 0, 0)?)),
        ("index_put of nothing", |x| x.index_put((0..0, ..), &x.narrow(0, 0, 0)?, true)),
        ("index_select", |x| x.index_select(0, &Tensor::arange(0, x.shape()[0] as i64, 1, (DType::I64, x.device()))?)),
        ("sum of a dimension of one", |x| x.unsqueeze(0)?.sum(0)),
        ("mean of a dimension of one", |x| x.unsqueeze(0)?.mean(0)),
        ("amax of a dimension of one", |x| x.unsqueeze(0)?.amax(0)),
        ("prod of a dimension of one", |x| x.unsqueeze(0)?.prod(0)),
        ("tril of everything", |x| x.tril(100)),
        ("floor", |x| x.floor()),
        ("clone_data", |x| x.clone_data()),
        ("avg_pool 1", |x| x.unsqueeze(0)?.avg_pool2d(1, 1, 0, false, true, None)?.squeeze(0)),
        ("scatter_add of nothing", |x| x.scatter_add(0, &Tensor::zeros([0, 3], (DType::I64, x.device()))?, &x.narrow(0, 0, 0)?)),
        ("index_add of nothing", |x| x.index_add(0, &Tensor::zeros([0], (DType::I64, x.device()))?, &x.narrow(0, 0, 0)?)),
    ];
    for_each_device(|device| {
        let mut wrong = Vec::new();
        for (name, op) in ops {
            let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3], device)?;
            let y = op(&x)?;
            let (before, result) = (read(&x)?, read(&y)?);
            y.add_(10.0)?;
            if read(&x)? != before {
                wrong.push(format!("{name}: a write to the result changes the input"));
            }
            let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3], device)?;
            let y = op(&x)?;
            x.add_(10.0)?;
            if read(&y)? != result {
                wrong.push(format!("{name}: a write to the input changes the result"));
            }
        }
        assert!(wrong.is_empty(), "{device}:\n{}", wrong.join("\n"));
        Ok(())
    });
}

#[test]
fn handles_of_one_tensor_see_one_value() {
    for_each_device(|device| {
        let x = Tensor::zeros([3], device)?;
        let (a, row) = (x.clone(), x.narrow(0, 1, 1)?);
        x.add_(1.0)?;
        row.mul_(5.0)?;
        assert_eq!((read(&a)?, read(&x)?, read(&row)?), (vec![1.0, 5.0, 1.0], vec![1.0, 5.0, 1.0], vec![5.0]));
        assert!(x.ptr_eq(&a) && !x.ptr_eq(&row));
        // A view outlives every other handle of its base.
        drop((x, a));
        row.add_(1.0)?;
        assert_eq!(read(&row)?, [6.0]);
        // A write that reads what it overwrites.
        let y = Tensor::arange(0, 6, 1, (DType::F32, device))?;
        y.narrow(0, 1, 5)?.copy_(&y.narrow(0, 0, 5)?)?;
        assert_eq!(read(&y)?, [0.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
        y.copy_(&y.flip(0)?)?;
        assert_eq!(read(&y)?, [4.0, 3.0, 2.0, 1.0, 0.0, 0.0]);
        Ok(())
    });
}
