//! What somebody probably meant.

/// The word most like `given`, if one is like it at all.
pub(crate) fn nearest<'a>(given: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase().replace('_', "-");
    let allowed = (given.chars().count() / 3).max(1);
    let distances = words.into_iter().map(|word| (strsim::damerau_levenshtein(&given, &word.to_lowercase()), word));
    distances.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// The end of a message about a word that is not known: the nearest of those that are, else all of them.
pub(crate) fn mend<'a>(given: &str, words: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(given, words.clone()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => match words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>() {
            words if words.is_empty() => "none is known".to_owned(),
            words => format!("known: {}", words.join(", ")),
        },
    }
}
