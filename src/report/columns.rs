//! Text in columns that line up, however many rows there are.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use crate::kafka::units::Count;

/// Blanks between two columns.
const GAP: usize = 2;

/// What stands in a column.
#[derive(Clone)]
pub(super) enum Cell<'a> {
    /// Text as it is.
    Text(Cow<'a, str>),
    /// A count, which becomes text in its line only.
    Count(Count),
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<Count> for Cell<'_> {
    fn from(count: Count) -> Self {
        Self::Count(count)
    }
}

impl Cell<'_> {
    fn width(&self) -> usize {
        match self {
            // As nearly all names are: then each byte takes one place.
            Self::Text(text) if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => text.len(),
            Self::Text(text) => text.width(),
            Self::Count(count) => count.width(),
        }
    }

    fn write(&self, line: &mut String) {
        match self {
            Self::Text(text) => line.push_str(text),
            Self::Count(count) => write!(line, "{count}").unwrap_or_default(), // a String takes all
        }
    }
}

/// The lines of an aligned table; none where there are no rows. Columns whose titles begin with a space stand to the right.
///
/// A line is made when it is asked for, as there may be a million of them; so `rows` is gone through twice, at first to see
/// how wide it is.
pub(super) fn columns<'a, const N: usize>(
    titles: [&'static str; N],
    rows: impl Iterator<Item = [Cell<'a>; N]> + Clone,
) -> impl Iterator<Item = String> {
    let mut widths = titles.map(|title| title.trim().width());
    let mut is_empty = true;
    for row in rows.clone() {
        is_empty = false;
        for (width, cell) in widths.iter_mut().zip(&row) {
            *width = cell.width().max(*width);
        }
    }
    let head = (!is_empty).then(|| titles.map(|title| Cell::from(title.trim())));
    head.into_iter().chain(rows).map(move |row| line(&titles, &widths, &row))
}

fn line(titles: &[&str], widths: &[usize], row: &[Cell<'_>]) -> String {
    let mut line = String::with_capacity(widths.iter().map(|width| width + GAP).sum());
    for ((title, width), cell) in titles.iter().zip(widths).zip(row) {
        let blanks = width.saturating_sub(cell.width());
        let (before, after) = if title.starts_with(' ') { (blanks, 0) } else { (0, blanks) };
        line.extend(std::iter::repeat_n(" ", before));
        cell.write(&mut line);
        line.extend(std::iter::repeat_n(" ", after + GAP));
    }
    line.truncate(line.trim_end().len());
    line
}

/// The same for rows that are there already.
pub(super) fn table<const N: usize>(titles: [&'static str; N], rows: Vec<[String; N]>) -> Vec<String> {
    columns(titles, rows.iter().map(|row| row.each_ref().map(|cell| Cell::from(cell.as_str())))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_numbers_stand_to_the_right() {
        let rows = [["a", "1,000"], ["größer", "7"]].map(|row| row.map(str::to_owned)).to_vec();
        assert_eq!(table(["topic", " records"], rows), ["topic   records", "a         1,000", "größer        7"]);
        assert_eq!(table(["topic", " records"], Vec::new()), [""; 0]);
    }

    #[test]
    fn wide_characters_take_two_places_and_no_line_ends_with_a_blank() {
        let rows = [["注文", "x"], ["a", ""]].map(|row| row.map(str::to_owned)).to_vec();
        assert_eq!(table(["t", "u"], rows), ["t     u", "注文  x", "a"]);
    }
}
