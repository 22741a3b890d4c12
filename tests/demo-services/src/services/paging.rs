//! `limit` and `offset` in a query, and ids in a path.

use std::collections::HashMap;

use axum::extract::{Path, Query, rejection::PathRejection};

use crate::{
    catalogue::{self, Asset},
    reply::{Failure, Problem},
    rules,
};

/// The query of a list, whatever else it holds.
pub(crate) type ListQuery = Query<HashMap<String, String>>;

/// A path parameter that may not even decode.
pub(crate) type PathText = Result<Path<String>, PathRejection>;

/// Which part of a list is wanted.
pub(crate) struct Page {
    limit: usize,
    offset: usize,
}

impl Page {
    /// Reads `limit` (1 to `max`, which is also the default) and `offset`; anything else in the query is ignored.
    pub(crate) fn read(query: &ListQuery, max: usize) -> Result<Self, Failure> {
        let limit = number(query, "limit", max)?;
        if !(1..=max).contains(&limit) {
            let msg = format!("Input should be between 1 and {max}");
            return Err(Failure::unprocessable(vec![Problem::at("query", "limit", "value_error", msg)]));
        }
        Ok(Self { limit, offset: number(query, "offset", 0)? })
    }

    /// That part, and whether there is more behind it.
    pub(crate) fn cut<T>(&self, all: impl IntoIterator<Item = T>) -> (Vec<T>, bool) {
        let mut rest = all.into_iter().skip(self.offset);
        let part: Vec<T> = rest.by_ref().take(self.limit).collect();
        (part, rest.next().is_some())
    }
}

/// The asset id of a path, in upper case, if it is well-formed.
pub(crate) fn asset_id(path: PathText) -> Result<String, Failure> {
    let id = path.map(|Path(id)| id).unwrap_or_default();
    match rules::asset_id(&id) {
        Ok(()) => Ok(id.to_ascii_uppercase()),
        Err(why) => Err(Failure::unprocessable(vec![Problem::at("path", "asset_id", "value_error", why)])),
    }
}

/// The asset that a path names.
pub(crate) fn asset(path: PathText) -> Result<Asset, Failure> {
    let id = asset_id(path)?;
    catalogue::find(&id)
        .ok_or_else(|| Failure::new(axum::http::StatusCode::NOT_FOUND, &format!("Asset '{id}' not found")))
}

fn number(query: &ListQuery, name: &str, default: usize) -> Result<usize, Failure> {
    let Some(text) = query.get(name) else { return Ok(default) };
    text.parse().map_err(|_| {
        let msg = "Input should be a valid integer";
        Failure::unprocessable(vec![Problem::at("query", name, "int_parsing", msg)])
    })
}
