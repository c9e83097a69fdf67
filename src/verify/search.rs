//! Where a comparison goes on when the next records of both sides are not the same.

use std::collections::{BTreeMap, BTreeSet};

use super::comparison::{ALIKE, Comparison, Next, Unreadable, WINDOW};
use super::content::Content;
use super::findings::What;
use super::sequence::{Item, Slot};
use crate::kafka::Side;

/// So many records in a row that fit are enough to go on behind a difference.
const ENOUGH: usize = 3;

/// How often a record may occur on the target within the window and still be looked at everywhere.
const OCCURRENCES: usize = 16;

/// How well the records that follow fit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Fit {
    same: usize,
    /// Whether nothing spoke against it.
    clean: bool,
    /// Whether that were all that the source has left.
    whole: bool,
}

impl Fit {
    fn is_enough(self) -> bool {
        self.same >= ENOUGH || (self.same > 0 && self.clean && self.whole)
    }
}

impl Comparison {
    /// How many of the target's next records are best taken for lost on the source, at most `most`, so that the source's
    /// next record fits; `None` where it fits nowhere within reach. Of places that fit as well, the last: a cleaner
    /// leaves the newest record of a key.
    pub(super) fn best_place(&self, most: i64) -> Option<usize> {
        let reach = usize::try_from(most).unwrap_or(usize::MAX).min(WINDOW);
        let fits = (0..=reach).filter(|&lost| self.place.plus(distance(lost)) < self.end).filter_map(|lost| {
            let head = self.source.items.front()?;
            let possible = match self.target.at(self.place.plus(distance(lost))) {
                Slot::Item(item) => head.is(item),
                Slot::Hole { explained } => explained,
                Slot::Unknown => false,
            };
            let fit = possible.then(|| self.fit(0, lost))?;
            (fit.same > 0 || fit.clean).then_some((fit.same, fit.clean, lost))
        });
        fits.max().map(|(_, _, lost)| lost)
    }

    /// How well the source's records from the one behind `skipped` fit to the target's from the one behind `passed`.
    fn fit(&self, skipped: usize, passed: usize) -> Fit {
        let mut fit = Fit { same: 0, clean: true, whole: self.source.is_whole() };
        let mut place = self.place.plus(distance(passed));
        fit.whole &= self.source.items.len().saturating_sub(skipped) <= ALIKE;
        for (index, item) in self.source.items.iter().skip(skipped).take(ALIKE).enumerate() {
            let room = if index == 0 { 0 } else { item.room.min(self.lost).min(distance(WINDOW)) };
            let places = (0..=room).map(|lost| place.plus(lost));
            let found = { places }.find(|place| matches!(self.target.at(*place), Slot::Item(other) if item.is(other)));
            place = match (found, self.target.at(place)) {
                (Some(found), _) => {
                    fit.same = fit.same.saturating_add(1);
                    found
                }
                (None, Slot::Hole { explained: true }) => place,
                (None, Slot::Unknown) if place < self.end => break,
                (None, _) => {
                    fit.clean = false;
                    break;
                }
            }
            .plus(1);
        }
        fit
    }

    /// Goes on behind a difference: where the least of both sides must be left behind for what follows to fit.
    pub(super) fn find_again(&mut self) -> Result<Option<Next>, Unreadable> {
        if !self.has_source(WINDOW)? {
            return Ok(Some(Next::Read(Side::Source)));
        }
        if !self.reaches_target(self.ahead(WINDOW))? {
            return Ok(Some(Next::Read(Side::Target)));
        }
        let most = self.source.items.front().map_or(0, |head| head.room.min(self.lost));
        match self.search().or_else(|| self.both_ends()) {
            Some((source, target)) => self.differ(source, target),
            // The record lies further on than can be looked, behind others that the source has lost.
            None if most > distance(WINDOW) => {
                for _ in 0..WINDOW / 2 {
                    self.lose();
                }
            }
            None => self.differ(1, 1),
        }
        Ok(None)
    }

    /// How many records of each side to leave behind.
    fn search(&mut self) -> Option<(usize, usize)> {
        self.searches = self.searches.checked_sub(1)?;
        let mut places: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        let window = self.ahead(WINDOW);
        for item in self.target.items.iter().take_while(|item| item.offset < window) {
            if let (Some(content), Ok(at)) = (&item.content, usize::try_from(item.offset.get() - self.place.get())) {
                places.entry(content.body()).or_default().push(at);
            }
        }
        let mut best: Option<(usize, usize, (usize, usize))> = None;
        for (skipped, item) in self.source.items.iter().take(WINDOW).enumerate() {
            if best.is_some_and(|(cost, ..)| cost < skipped) {
                break;
            }
            let known = item.content.as_ref().and_then(|content| places.get(&content.body()));
            for &passed in known.into_iter().flatten().filter(|&&at| skipped + at > 0).take(OCCURRENCES) {
                // Of ways that cost the same, the one on which as many are left behind on both sides: they were altered.
                let cost = (skipped + passed, skipped.abs_diff(passed), (skipped, passed));
                if best.is_none_or(|best| cost < best) && self.fit(skipped, passed).is_enough() {
                    best = Some(cost);
                }
            }
        }
        best.map(|(_, _, both)| both)
    }

    /// All that is left, where both ends are within reach.
    fn both_ends(&self) -> Option<(usize, usize)> {
        let left = usize::try_from(self.end.get() - self.place.get()).ok()?;
        let near = self.source.is_whole() && self.source.items.len() <= WINDOW && left <= WINDOW;
        near.then_some((self.source.items.len(), left))
    }

    /// Leaves so many records of each side behind and says how they differ. Where the target has more, the first of them
    /// are those that the source has lost, if it has.
    fn differ(&mut self, source: usize, target: usize) {
        let behind = self.ahead(target);
        let there = bodies(self.target.items.iter().take_while(|item| item.offset < behind));
        let here = bodies(self.source.items.iter().take(source));
        let rooms = self.source.items.iter().take(source.saturating_add(1)).map(|item| item.room);
        let last = if source < self.source.items.len() { 0 } else { self.source.room };
        let room = rooms.fold(last, i64::saturating_add);
        for _ in 0..distance(target.saturating_sub(source)).min(self.lost).min(room) {
            self.lose();
        }
        for _ in 0..source {
            let Some(item) = self.take_source() else { break };
            let place = self.place;
            let what = match (place < behind).then(|| self.take_target()) {
                Some(Ok(other)) if item.is(&other) => {
                    self.found.same = self.found.same.saturating_add(1);
                    continue;
                }
                Some(Ok(other)) => how(&item, &other, &here, &there),
                Some(Err(true)) => {
                    self.found.explained = self.found.explained.saturating_add(1);
                    continue;
                }
                Some(Err(false)) | None => What::Missing,
            };
            self.found.differs(Some(item.offset), Some(place), what);
        }
        while self.place < behind {
            self.extra();
        }
    }
}

fn bodies<'a>(items: impl Iterator<Item = &'a Item>) -> BTreeSet<[u128; 3]> {
    items.filter_map(|item| item.content.as_ref()).map(Content::body).collect()
}

/// How two records differ that should be the same; `here` and `there` are those around them.
fn how(item: &Item, other: &Item, here: &BTreeSet<[u128; 3]>, there: &BTreeSet<[u128; 3]>) -> What {
    let (Some(one), Some(two)) = (&item.content, &other.content) else { return What::Missing };
    let moved = one.body() != two.body() && (there.contains(&one.body()) || here.contains(&two.body()));
    if moved { What::Order } else { What::Altered(one.altered(two)) }
}

fn distance(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
