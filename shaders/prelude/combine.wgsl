// How two partial results combine, over the aliases WF (f32), WI (i32), WU (u32) and WB (bool): scalars, or
// 4-vectors of four rows. A NaN wins every comparison; of equal values the first index is kept.

fn sum_WF(a: WF, b: WF) -> WF { return a + b; }
fn sum_WI(a: WI, b: WI) -> WI { return a + b; }
fn sum_WU(a: WU, b: WU) -> WU { return a + b; }
fn prod_WF(a: WF, b: WF) -> WF { return a * b; }
fn prod_WI(a: WI, b: WI) -> WI { return a * b; }
fn prod_WU(a: WU, b: WU) -> WU { return a * b; }
fn max_WF(a: WF, b: WF) -> WF { return select(select(max(a, b), b, nan_WF(b)), a, nan_WF(a)); }
fn max_WI(a: WI, b: WI) -> WI { return max(a, b); }
fn max_WU(a: WU, b: WU) -> WU { return max(a, b); }
fn min_WF(a: WF, b: WF) -> WF { return select(select(min(a, b), b, nan_WF(b)), a, nan_WF(a)); }
fn min_WI(a: WI, b: WI) -> WI { return min(a, b); }
fn min_WU(a: WU, b: WU) -> WU { return min(a, b); }

fn nan_WF(x: WF) -> WB { return (bitcast<WU>(x) & WU(0x7fffffffu)) > WU(0x7f800000u); }

struct BestWF { v: WF, at: WU }
struct BestWI { v: WI, at: WU }
struct BestWU { v: WU, at: WU }

fn first_max_BestWF(a: BestWF, b: BestWF) -> BestWF {
    let same = (a.v == b.v) | (nan_WF(a.v) & nan_WF(b.v));
    let second = (same & (b.at < a.at)) | (!same & !nan_WF(a.v) & (nan_WF(b.v) | (b.v > a.v)));
    return BestWF(select(a.v, b.v, second), select(a.at, b.at, second));
}

fn first_min_BestWF(a: BestWF, b: BestWF) -> BestWF {
    let same = (a.v == b.v) | (nan_WF(a.v) & nan_WF(b.v));
    let second = (same & (b.at < a.at)) | (!same & !nan_WF(a.v) & (nan_WF(b.v) | (b.v < a.v)));
    return BestWF(select(a.v, b.v, second), select(a.at, b.at, second));
}

fn first_max_BestWI(a: BestWI, b: BestWI) -> BestWI {
    let second = (b.v > a.v) | ((b.v == a.v) & (b.at < a.at));
    return BestWI(select(a.v, b.v, second), select(a.at, b.at, second));
}

fn first_min_BestWI(a: BestWI, b: BestWI) -> BestWI {
    let second = (b.v < a.v) | ((b.v == a.v) & (b.at < a.at));
    return BestWI(select(a.v, b.v, second), select(a.at, b.at, second));
}

fn first_max_BestWU(a: BestWU, b: BestWU) -> BestWU {
    let second = (b.v > a.v) | ((b.v == a.v) & (b.at < a.at));
    return BestWU(select(a.v, b.v, second), select(a.at, b.at, second));
}

fn first_min_BestWU(a: BestWU, b: BestWU) -> BestWU {
    let second = (b.v < a.v) | ((b.v == a.v) & (b.at < a.at));
    return BestWU(select(a.v, b.v, second), select(a.at, b.at, second));
}
