//! A block's index as bytes (see [`crate::layout`]): which texts there are, and which series.
//!
//! Series whose texts an [`Order`] has numbered cost a look at their numbers; those of others are read. The bytes are
//! the same: texts stand in the order of their first mention, however they are found.

use std::collections::HashMap;

use wire::columns::{put_varint, put_zigzag};

use crate::column::{self, Column};
use crate::layout::{PageEntry, put_bytes};
use crate::order::{Order, Texts};

/// The index of a text that this block has not mentioned.
const UNMENTIONED: u32 = u32::MAX;

pub(crate) fn encode_index<C: Column>(columns: &[C], pages: &[PageEntry], order: Option<&Order>) -> Vec<u8> {
    let mut out = Vec::with_capacity(columns.len() * 24 + 64);
    let (min, max) = column::span(columns).unwrap_or_default();
    put_zigzag(&mut out, min.0);
    put_zigzag(&mut out, max.0);
    put_varint(&mut out, column::samples(columns));

    let mut strings = Strings::of(order.map(Order::texts));
    let mut series = Vec::with_capacity(columns.len() * 16);
    // The texts of the unknown series before, and of this one: neighbours share most of them.
    let mut before: Vec<(&[u8], u32)> = Vec::new();
    let mut now: Vec<(&[u8], u32)> = Vec::new();
    let mut next_rank = 0;
    for column in columns {
        if let Some((order, rank)) = order.and_then(|order| Some((order, order.rank(column.labels(), next_rank)?))) {
            let numbers = order.texts().of(rank);
            put_varint(&mut series, (numbers.len() / 2) as u64);
            for number in numbers {
                put_varint(&mut series, u64::from(strings.numbered(order.texts(), *number)));
            }
            next_rank = rank + 1;
        } else {
            for (at, text) in column.labels().texts().enumerate() {
                let index = match before.get(at) {
                    Some((same, index)) if *same == text => *index,
                    other => strings.index(text, other.map(|(_, index)| *index)),
                };
                now.push((text, index));
            }
            put_varint(&mut series, (now.len() / 2) as u64);
            now.iter().for_each(|(_, index)| put_varint(&mut series, u64::from(*index)));
            std::mem::swap(&mut before, &mut now);
            now.clear();
        }
        put_varint(&mut series, column.samples() as u64);
    }
    let strings = strings.all;

    put_varint(&mut out, strings.len() as u64);
    for text in strings {
        put_bytes(&mut out, text);
    }
    put_varint(&mut out, pages.len() as u64);
    for page in pages {
        for number in [page.bytes, page.plain_bytes, page.series] {
            put_varint(&mut out, number as u64);
        }
    }
    out.extend_from_slice(&series);
    out
}

/// Texts that are numbered as they are first mentioned, each once.
#[derive(Default)]
pub(crate) struct Strings<'a> {
    all: Vec<&'a [u8]>,
    /// Of all texts, as far as one was looked for by itself.
    index: HashMap<&'a [u8], u32>,
    /// What came after each text in the same place of the next series, when it last was there.
    next: Vec<u32>,
    /// The index of each text that an order has numbered.
    by_number: Vec<u32>,
}

impl<'a> Strings<'a> {
    fn of(texts: Option<&Texts>) -> Self {
        Self { by_number: vec![UNMENTIONED; texts.map_or(0, Texts::len)], ..Self::default() }
    }

    /// All of them, by index.
    pub(crate) fn into_all(self) -> Vec<&'a [u8]> {
        self.all
    }

    /// The index of `text`, which follows another in its place. Series of one metric have the same texts in the same
    /// order as those of the metric before: mostly no text has to be hashed.
    pub(crate) fn index(&mut self, text: &'a [u8], before: Option<u32>) -> u32 {
        let before = before.map(|index| index as usize);
        let guess = before.and_then(|before| self.next.get(before)).copied();
        if let Some(guess) = guess.filter(|guess| self.all.get(*guess as usize) == Some(&text)) {
            return guess;
        }
        for index in self.index.len()..self.all.len() {
            self.index.insert(self.all[index], index as u32);
        }
        let index = self.index.get(text).copied().unwrap_or_else(|| {
            let index = self.push(text);
            self.index.insert(text, index);
            index
        });
        if let Some(next) = before.and_then(|before| self.next.get_mut(before)) {
            *next = index;
        }
        index
    }

    /// The index of a text by an order's number of it.
    #[inline]
    fn numbered(&mut self, texts: &'a Texts, number: u32) -> u32 {
        match self.by_number.get(number as usize) {
            Some(index) if *index != UNMENTIONED => *index,
            _ => self.first_numbered(texts, number),
        }
    }

    fn first_numbered(&mut self, texts: &'a Texts, number: u32) -> u32 {
        let text = texts.text(number);
        // Where no text was looked for by itself, two numbers are two texts.
        let index = if self.index.is_empty() { self.push(text) } else { self.index(text, None) };
        if let Some(place) = self.by_number.get_mut(number as usize) {
            *place = index;
        }
        index
    }

    fn push(&mut self, text: &'a [u8]) -> u32 {
        self.all.push(text);
        self.next.push(UNMENTIONED);
        (self.all.len() - 1) as u32
    }
}
