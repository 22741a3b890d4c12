//! Answers other than success, in the shape in which FastAPI gives them.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// What a handler returns: a status with a JSON body, or a failure.
pub(crate) type Answer = Result<(StatusCode, Json<Value>), Failure>;

/// An error answer: `{"detail": ...}`.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    detail: Value,
}

impl Failure {
    /// A failure that one sentence describes.
    pub(crate) fn new(status: StatusCode, detail: &str) -> Self {
        Self { status, detail: json!(detail) }
    }

    /// 422 with one entry per problem.
    pub(crate) fn unprocessable(problems: Vec<Problem>) -> Self {
        let detail = problems.into_iter().map(Problem::into_json).collect();
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, detail: Value::Array(detail) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = Json(json!({ "detail": self.detail }));
        match self.status {
            // RFC 9110, section 11.6.1: a 401 names the scheme that would help.
            StatusCode::UNAUTHORIZED => {
                (self.status, [(header::WWW_AUTHENTICATE, "Bearer")], body).into_response()
            }
            status => (status, body).into_response(),
        }
    }
}

/// One entry of a 422: where, what and which kind. The refused value is not echoed; it may be a password.
#[derive(Debug)]
pub(crate) struct Problem {
    loc: Vec<Value>,
    msg: String,
    kind: &'static str,
}

impl Problem {
    /// A problem with the whole body.
    pub(crate) fn body(kind: &'static str, msg: &str) -> Self {
        Self { loc: vec![json!("body")], msg: msg.to_owned(), kind }
    }

    /// A problem with one part of `place` (`body`, `path` or `query`).
    pub(crate) fn at(place: &str, field: &str, kind: &'static str, msg: impl Into<String>) -> Self {
        Self { loc: vec![json!(place), json!(field)], msg: msg.into(), kind }
    }

    fn into_json(self) -> Value {
        json!({ "loc": self.loc, "msg": self.msg, "type": self.kind })
    }
}

/// 200 with a body.
pub(crate) fn ok(body: Value) -> Answer {
    Ok((StatusCode::OK, Json(body)))
}

/// 201 with a body.
pub(crate) fn created(body: Value) -> Answer {
    Ok((StatusCode::CREATED, Json(body)))
}
