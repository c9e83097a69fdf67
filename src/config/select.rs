//! Which groups and topics a migration is about.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;

/// The groups and topics that the user selected. What Kafka itself rules out is not known here.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Groups whose unread records move.
    pub groups: Filter,
    /// Topics that move.
    pub topics: Filter,
}

/// Names to take and names to leave, leaving being stronger.
#[derive(Clone, Debug)]
pub struct Filter {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

impl Filter {
    /// A filter of names, globs and `/regular expressions/`.
    ///
    /// # Errors
    ///
    /// The first pattern that is none, with the reason.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, String> {
        Ok(Self { include: patterns(include)?, exclude: patterns(exclude)? })
    }

    /// Whether `name` is one of those that are meant.
    pub fn takes(&self, name: &str) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.is_match(name));
        any(&self.include) && !any(&self.exclude)
    }

    /// The whole names among the patterns, as far as they are not left out.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.include.iter().filter_map(Pattern::name).filter(|name| self.takes(name))
    }
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>, String> {
    texts.iter().map(|text| Pattern::new(text)).collect()
}

#[derive(Clone)]
enum Pattern {
    Glob(GlobMatcher),
    Regex(Regex),
}

impl Pattern {
    fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty text selects nothing: write `*` for everything".into());
        }
        if let Some(regex) = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
            let why = |error: regex::Error| {
                // The library draws a picture of several lines; its last line is the sentence.
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("`/{regex}/` is not a regular expression: {last}")
            };
            return Regex::new(regex).map(Self::Regex).map_err(why);
        }
        // Names of topics and groups are not paths: a slash in a group's name is a character like any other.
        let glob = GlobBuilder::new(text).literal_separator(false).backslash_escape(true).build();
        glob.map(|glob| Self::Glob(glob.compile_matcher()))
            .map_err(|error| format!("`{text}` is neither a name nor a glob: {}", error.kind()))
    }

    /// The one name that it matches, where it is no more than that.
    fn name(&self) -> Option<&str> {
        match self {
            Self::Glob(glob) => Some(glob.glob().glob()).filter(|text| !text.contains(['*', '?', '[', '{', '\\'])),
            Self::Regex(_) => None,
        }
    }

    fn is_match(&self, name: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.is_match(name),
            Self::Regex(regex) => regex.is_match(name),
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glob(glob) => f.write_str(glob.glob().glob()),
            Self::Regex(regex) => write!(f, "/{regex}/"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        Filter::new(&owned(include), &owned(exclude)).expect("a filter")
    }

    #[test]
    fn a_plain_name_takes_only_itself() {
        let filter = filter(&["orders"], &[]);
        assert!(filter.takes("orders"));
        assert!(!filter.takes("orders-2") && !filter.takes("Orders") && !filter.takes("my-orders"));
    }

    #[test]
    fn a_glob_takes_dots_and_slashes_like_any_character() {
        let filter = filter(&["orders*", "{a,b}?"], &["*.internal"]);
        assert!(filter.takes("orders") && filter.takes("orders.eu/7") && filter.takes("b1"));
        assert!(!filter.takes("orders.internal") && !filter.takes("c1"));
    }

    #[test]
    fn a_regular_expression_is_searched_for_unless_it_is_anchored() {
        let filter = filter(&["/^orders-[0-9]+$/", "/eu/"], &["/-9$/"]);
        assert!(filter.takes("orders-12") && filter.takes("payments-eu-1"));
        assert!(!filter.takes("orders-x") && !filter.takes("orders-9"));
    }

    #[test]
    fn whole_names_are_told_from_patterns() {
        let filter = filter(&["orders", "pay.ments", "eu-*", "/us/", "{a,b}", "audit"], &["aud*"]);
        assert_eq!(filter.names().collect::<Vec<_>>(), ["orders", "pay.ments"]);
    }

    #[test]
    fn an_empty_list_of_names_to_take_takes_none() {
        assert!(!filter(&[], &[]).takes("orders"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_reason() {
        let why = |text: &str| Filter::new(&[text.to_owned()], &[]).expect_err("no pattern");
        assert_eq!(why("["), "`[` is neither a name nor a glob: unclosed character class; missing ']'");
        assert_eq!(why("/(/"), "`/(/` is not a regular expression: unclosed group");
        assert!(why("").contains("write `*`"));
    }
}
