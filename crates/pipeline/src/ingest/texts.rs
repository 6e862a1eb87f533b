//! Texts that are kept until all of them are forgotten, side by side in large pieces of memory: series that
//! came one after the other are looked up one after the other, and neighbours are near.

/// Bytes of a piece; a longer text has one for itself.
const PIECE_BYTES: usize = 256 * 1024;

/// The texts.
#[derive(Default)]
pub(super) struct Texts {
    pieces: Vec<Vec<u8>>,
}

/// Where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    piece: u32,
    at: u32,
    length: u32,
}

impl Texts {
    /// Keeps a text of less than 4 GiB, as every body is.
    pub(super) fn add(&mut self, text: &[u8]) -> Place {
        let room = |piece: &Vec<u8>| piece.capacity() - piece.len();
        if self.pieces.last().is_none_or(|last| room(last) < text.len()) {
            self.pieces.push(Vec::with_capacity(PIECE_BYTES.max(text.len())));
        }
        let piece = (self.pieces.len() - 1) as u32;
        let Some(last) = self.pieces.last_mut() else { return Place { piece, at: 0, length: 0 } };
        let place = Place { piece, at: last.len() as u32, length: text.len() as u32 };
        last.extend_from_slice(text);
        place
    }

    /// The text; empty where there is none.
    #[inline]
    pub(super) fn get(&self, place: Place) -> &[u8] {
        let (at, length) = (place.at as usize, place.length as usize);
        self.pieces.get(place.piece as usize).and_then(|piece| piece.get(at..at + length)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_at_its_limit_and_one_past_it() {
        let mut texts = Texts::default();
        let whole = vec![b'a'; PIECE_BYTES - 3];
        let long = vec![b'l'; PIECE_BYTES + 1];
        let all: [&[u8]; 6] = [&whole, b"xyz", b"", b"q", &long, b"after"];
        let places: Vec<Place> = all.iter().map(|text| texts.add(text)).collect();
        let pieces: Vec<u32> = places.iter().map(|place| place.piece).collect();
        assert_eq!(pieces, [0, 0, 0, 1, 2, 3]);
        for (text, place) in all.iter().zip(places) {
            assert!(texts.get(place) == *text);
        }
        assert_eq!(texts.get(Place { piece: 9, at: 0, length: 1 }), b"");
    }
}
