//! The control port: the knobs over HTTP, for shell scripts and for whoever plays with `make run`.

use std::collections::HashMap;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde_json::{Value, json};

use crate::{
    Service,
    fault::{Fault, FaultId},
    knobs::Knobs,
};

const HELP: &str = r#"Demo services: control port
GET    /services                   address, up or down, requests received, requests in flight
POST   /services/{service}/down    stop: connections close, new ones are refused
POST   /services/{service}/up      start again on the same port
GET    /faults                     the faults that are set
POST   /faults                     set one: {"service": "order", "path": {"prefix": "/"}, "status": 503}
                                   path: {"exact": ...} or {"prefix": ...}
                                   optional: method, status, headers [[name, value]], body, delay_ms, times,
                                   reset ("before_response" or "mid_body")
DELETE /faults, /faults/{id}       remove all, or one
GET    /captures/{service}         the last requests as received; ?path=/x for one path
DELETE /captures, /captures/{service}
Services: user, inventory, order, auth, insights
"#;

pub(crate) fn router(knobs: Knobs) -> Router {
    Router::new()
        .route("/", get(async || HELP))
        .route("/services", get(services))
        .route("/services/{service}/down", post(down))
        .route("/services/{service}/up", post(up))
        .route("/faults", get(faults).post(set_fault).delete(clear_faults))
        .route("/faults/{id}", delete(clear_fault))
        .route("/captures", delete(clear_all_captures))
        .route("/captures/{service}", get(captures).delete(clear_captures))
        .with_state(knobs)
}

type Reply = Result<Response, (StatusCode, Json<Value>)>;

fn refuse(status: StatusCode, why: impl ToString) -> (StatusCode, Json<Value>) {
    (status, Json(json!({ "error": why.to_string() })))
}

fn named(name: &str) -> Result<Service, (StatusCode, Json<Value>)> {
    let known = Service::ALL.map(Service::name).join(", ");
    Service::from_name(name)
        .ok_or_else(|| refuse(StatusCode::NOT_FOUND, format!("no service `{name}`; there are: {known}")))
}

async fn services(State(knobs): State<Knobs>) -> Json<Value> {
    let mut all = serde_json::Map::new();
    for service in Service::ALL {
        let state = json!({
            "address": knobs.fleet.port(service).addr,
            "up": knobs.is_up(service),
            "requests": knobs.captured_count(service),
            "in_flight": knobs.in_flight(service),
        });
        all.insert(service.name().to_owned(), state);
    }
    Json(Value::Object(all))
}

async fn down(State(knobs): State<Knobs>, Path(name): Path<String>) -> Reply {
    knobs.down(named(&name)?).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn up(State(knobs): State<Knobs>, Path(name): Path<String>) -> Reply {
    knobs.up(named(&name)?).map_err(|error| refuse(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn faults(State(knobs): State<Knobs>) -> Json<Value> {
    let all = knobs.faults();
    Json(all.into_iter().map(|(id, fault)| json!({ "id": id, "fault": fault })).collect())
}

async fn set_fault(State(knobs): State<Knobs>, body: Bytes) -> Reply {
    let bad = |why: &dyn ToString| refuse(StatusCode::UNPROCESSABLE_ENTITY, why.to_string());
    let fault: Fault = serde_json::from_slice(&body).map_err(|error| bad(&error))?;
    let id = knobs.set(fault).map_err(|error| bad(&error))?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
}

async fn clear_faults(State(knobs): State<Knobs>) -> StatusCode {
    knobs.clear_all();
    StatusCode::NO_CONTENT
}

async fn clear_fault(State(knobs): State<Knobs>, Path(id): Path<u64>) -> Reply {
    if knobs.clear(FaultId(id)) {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(refuse(StatusCode::NOT_FOUND, format!("no fault {id}")))
    }
}

async fn captures(
    State(knobs): State<Knobs>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Reply {
    let service = named(&name)?;
    let mut requests = knobs.captured(service);
    if let Some(path) = query.get("path") {
        requests.retain(|request| request.path() == path);
    }
    let shown: Vec<Value> = requests.iter().map(|request| request.to_json()).collect();
    let body = json!({ "received": knobs.captured_count(service), "shown": shown.len(), "requests": shown });
    Ok(Json(body).into_response())
}

async fn clear_captures(State(knobs): State<Knobs>, Path(name): Path<String>) -> Reply {
    knobs.clear_captured(named(&name)?);
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn clear_all_captures(State(knobs): State<Knobs>) -> StatusCode {
    Service::ALL.into_iter().for_each(|service| knobs.clear_captured(service));
    StatusCode::NO_CONTENT
}
