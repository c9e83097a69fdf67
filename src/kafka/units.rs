//! Numbers as people read them: thousands separated, bytes in binary units, durations in words.

use std::fmt;
use std::time::Duration;

/// A count with its thousands separated by commas: `76,522`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count(pub i64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.unsigned_abs().to_string();
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad_integral(self.0 >= 0, "", &text)
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
        assert_eq!(format!("{:>8}", Count(1_000)), "   1,000");
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
