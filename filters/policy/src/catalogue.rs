//! What a policy makes countable. Each stage's section says what it adds.

use crate::guards::Guards;
use crate::routes::Route;
use crate::services::Service;
use portcullis_authz::RULES;
use portcullis_edge_core::Namespace;
use portcullis_findings::FindingsPolicy;
use portcullis_jwt::Jwt;
use portcullis_metrics::{self as metrics, Endpoint, MetricsPolicy, Row, Served, Vocabulary};
use std::borrow::Cow;

/// What can be counted, and under what each route is.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// The values of all labels that the policy defines.
    pub vocabulary: Vocabulary,
    /// The endpoints' labels; the last one is `unmatched`.
    pub endpoints: Vec<String>,
    /// By route.
    pub routes: Vec<Counted>,
    /// What matches no route.
    pub unmatched: Endpoint,
}

/// What the requests of a route are counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The route's template. Routes that differ by method share it.
    pub endpoint: Endpoint,
    /// The service behind the route, and the template.
    pub served: Served,
}

const UNMATCHED: &str = "unmatched";

impl Catalogue {
    pub(crate) fn of(
        instance: &str,
        services: &[Service],
        routes: &[Route],
        metrics: &MetricsPolicy,
        jwt: Option<&Jwt>,
        guards: &Guards,
        findings: &FindingsPolicy,
    ) -> Self {
        let served = served(services, routes);
        let endpoints = endpoints(services, routes);
        // The only instance needs no label that says which one it is.
        let instance = if instance == Namespace::DEFAULT { "" } else { instance };
        let mut vocabulary = Vocabulary::new(instance, &metrics.statuses);
        vocabulary.define::<Endpoint>(endpoints.iter().map(|label| row([label])));
        vocabulary.define::<metrics::Service>(services.iter().map(|service| row([&service.name])));
        let named =
            served.iter().filter_map(|(service, label)| Some(row([&services.get(*service)?.name, label])));
        vocabulary.define::<Served>(named);
        if let Some(jwt) = jwt {
            jwt.describe(routes.iter().filter_map(|route| route.auth.as_ref()), &mut vocabulary);
        }
        if routes.iter().any(|route| route.rules.is_some()) {
            vocabulary.allow(&RULES);
        }
        portcullis_limits::metrics::describe(
            &guards.limits,
            &guards.concurrency,
            &guards.abuse,
            &mut vocabulary,
        );
        guards.source.describe(&mut vocabulary);
        findings.describe(&mut vocabulary);
        guards.business.describe(&mut vocabulary);
        if !guards.abuse.is_empty() || guards.source.require.is_some() || findings.reader.is_some() {
            vocabulary.allow(&portcullis_limits::metrics::SUSPICION);
        }
        guards.breakers.describe(services.iter().map(|service| service.name.as_str()), &mut vocabulary);
        let place = |route: &Route| Counted {
            endpoint: Endpoint(position(&endpoints, |label| label == route.template.as_str())),
            served: Served(position(&served, |of| *of == (route.service, route.template.as_str()))),
        };
        let unmatched = Endpoint(endpoints.len().saturating_sub(1));
        Self { routes: routes.iter().map(place).collect(), unmatched, vocabulary, endpoints }
    }

    /// An endpoint as labels and log lines show it.
    #[must_use]
    pub fn label(&self, endpoint: Endpoint) -> &str {
        self.endpoints.get(endpoint.0).map_or(UNMATCHED, String::as_str)
    }
}

fn row<const N: usize>(texts: [&str; N]) -> Row {
    texts.map(|text| Cow::Owned(text.to_owned())).into()
}

fn position<T>(list: &[T], is_it: impl FnMut(&T) -> bool) -> usize {
    list.iter().position(is_it).unwrap_or(usize::MAX)
}

/// The labels of all endpoints: routes, what services are called at, and the rest.
fn endpoints(services: &[Service], routes: &[Route]) -> Vec<String> {
    let routes = routes.iter().map(|route| route.template.as_str());
    let calls = services.iter().flat_map(|service| service.calls.iter().map(String::as_str));
    let mut endpoints: Vec<String> = Vec::new();
    for label in routes.chain(calls) {
        if endpoints.iter().all(|known| known != label) {
            endpoints.push(label.to_owned());
        }
    }
    endpoints.push(UNMATCHED.to_owned());
    endpoints
}

/// Each service with the endpoints that lead to it, service by service.
fn served<'p>(services: &'p [Service], routes: &'p [Route]) -> Vec<(usize, &'p str)> {
    let mut served: Vec<(usize, &str)> = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let routes =
            routes.iter().filter(|route| route.service == index).map(|route| route.template.as_str());
        for label in routes.chain(service.calls.iter().map(String::as_str)) {
            if !served.contains(&(index, label)) {
                served.push((index, label));
            }
        }
    }
    served
}
