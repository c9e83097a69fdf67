//! Numbers as people read them: thousands separated, bytes in binary units, durations in words.

use std::fmt;
use std::time::Duration;

/// A count with its thousands separated by commas: `76,522`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count(pub i64);

impl Count {
    /// How many characters it is shown with.
    pub fn width(self) -> usize {
        let digits = self.0.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1);
        digits + (digits - 1) / 3 + usize::from(self.0 < 0)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The largest has 20 digits and 6 commas. Plans show millions of counts: nothing is allocated.
        let mut text = [0; 26];
        let (mut left, mut start) = (self.0.unsigned_abs(), text.len());
        for (place, from_the_right) in text.iter_mut().rev().zip(0..) {
            start -= 1;
            if from_the_right % 4 == 3 {
                *place = b',';
                continue;
            }
            *place = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        f.pad_integral(
            self.0 >= 0,
            "",
            text.get(start..).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default(),
        )
    }
}

/// A number of bytes in binary units: `512 B`, `1.5 MiB`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&bytesize::ByteSize(self.0).display().iec().to_string())
    }
}

/// A stretch of time, rounded to what a person needs: `0.8 s`, `42 s`, `3 min 20 s`, `2 h 5 min`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let text = match seconds {
            0..10 => format!("{:.1} s", self.0.as_secs_f64()),
            10..60 => format!("{seconds} s"),
            60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
            _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!(Count(0).to_string(), "0");
        assert_eq!(Count(999).to_string(), "999");
        assert_eq!(Count(76_522).to_string(), "76,522");
        assert_eq!(Count(-1_234_567).to_string(), "-1,234,567");
        assert_eq!(Count(i64::MIN).to_string(), "-9,223,372,036,854,775,808");
        assert_eq!(format!("{:>8}", Count(1_000)), "   1,000");
        for power in 0..19 {
            for count in [10_i64.pow(power), 10_i64.pow(power) - 1, -(10_i64.pow(power)), i64::MIN, i64::MAX] {
                let shown = Count(count).to_string();
                assert_eq!(shown.replace(',', ""), count.to_string());
                assert_eq!(shown.len(), Count(count).width(), "{shown}");
            }
        }
    }

    #[test]
    fn durations_are_rounded_for_people() {
        let shown = |seconds| Span(Duration::from_secs_f64(seconds)).to_string();
        assert_eq!(shown(0.84), "0.8 s");
        assert_eq!(shown(42.9), "42 s");
        assert_eq!(shown(200.0), "3 min 20 s");
        assert_eq!(shown(7_500.0), "2 h 5 min");
    }

    #[test]
    fn bytes_use_binary_units() {
        assert_eq!(Bytes(512).to_string(), "512 B");
        assert_eq!(Bytes(3 << 19).to_string(), "1.5 MiB");
    }
}
