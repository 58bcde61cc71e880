//! Which of some names is meant by a word that is none of them: "did you mean".

/// How many are suggested.
const MOST: usize = 3;
/// A longer word is not a typing error, and comparing costs its length.
const LONGEST: usize = 64;

/// At most three of these names that are similar to the word, nearest first: those that contain it, and those that a
/// third of their letters would turn into it.
#[must_use]
pub fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    if word.is_empty() || word.len() > LONGEST {
        return Vec::new();
    }
    let mut near: Vec<_> = names
        .filter(|name| name.len() <= 4 * LONGEST)
        .filter_map(|name| {
            let away = distance(word, name);
            let part = word.len() >= 3 && name.contains(word);
            (part || away <= name.len() / 3).then_some((if part { 0 } else { away }, name))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// `did you mean a, b?`, for the beginning of a hint; empty where nothing is similar.
#[must_use]
pub fn question<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> String {
    let near = nearest(word, names);
    if near.is_empty() { String::new() } else { format!("did you mean {}? ", near.join(", ")) }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, y) in row.iter_mut().skip(1).zip(&b) {
            left = (diagonal + usize::from(x != *y)).min(left + 1).min(*above + 1);
            diagonal = std::mem::replace(above, left);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names_come_first_and_strange_words_get_none() {
        let names = ["prusik", "brno", "vienna", "graz-1", "graz-2", "graz-3", "graz-4"];
        let near = |word: &str| nearest(word, names.into_iter());
        assert_eq!(near("prusk"), ["prusik"]);
        assert_eq!(near("graz"), ["graz-1", "graz-2", "graz-3"]);
        assert_eq!(near("xyzzy"), Vec::<&str>::new());
        assert_eq!(near(""), Vec::<&str>::new());
        assert_eq!(near(&"p".repeat(1 << 20)), Vec::<&str>::new());
        assert_eq!(question("vienn", names.into_iter()), "did you mean vienna? ");
        assert_eq!(question("x", names.into_iter()), "");
    }
}
