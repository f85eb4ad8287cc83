//! Loops for the widest vector registers the machine has. The arithmetic is the same in all of them, lane for lane, and
//! so are the bits.

/// The widest registers that loops have a version for.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vectors {
    Bits128,
    Bits256,
    Bits512,
}

#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn vectors() -> Vectors {
    use std::arch::is_x86_feature_detected as has;
    if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
        Vectors::Bits512
    } else if has!("avx2") {
        Vectors::Bits256
    } else {
        Vectors::Bits128
    }
}

/// Declares a function three times, as `loops!` of the elementwise tables does: everything it calls should be inlined.
macro_rules! widened {
    ($(#[$meta:meta])* fn $name:ident$(<$T:ident: $bound:ident>)?($($a:ident: $t:ty),+) $(-> $R:ty)? $body:block) => {
        $(#[$meta])*
        fn $name$(<$T: $bound>)?($($a: $t),+) $(-> $R)? {
            #[inline(always)]
            fn body$(<$T: $bound>)?($($a: $t),+) $(-> $R)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn wide$(<$T: $bound>)?($($a: $t),+) $(-> $R)? {
                body($($a),+)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            fn widest$(<$T: $bound>)?($($a: $t),+) $(-> $R)? {
                body($($a),+)
            }
            #[cfg(target_arch = "x86_64")]
            match $crate::runtime::cpu::wide::vectors() {
                // SAFETY: the machine has these features.
                $crate::runtime::cpu::wide::Vectors::Bits512 => return unsafe { widest($($a),+) },
                // SAFETY: the machine has AVX2.
                $crate::runtime::cpu::wide::Vectors::Bits256 => return unsafe { wide($($a),+) },
                $crate::runtime::cpu::wide::Vectors::Bits128 => {}
            }
            body($($a),+)
        }
    };
}
pub(crate) use widened;
