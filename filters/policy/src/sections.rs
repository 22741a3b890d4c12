//! The sections of a policy: read each on its own, then compiled together.

use crate::catalogue::Catalogue;
use crate::clusters::Cluster;
use crate::document::Document;
use crate::gateway;
use crate::guards::{Guards, RawGuards};
use crate::handed::Handed;
use crate::listeners;
use crate::policy::{GatewayPaths, Policy};
use crate::raw::{RawCluster, RawGateway, RawProxy, RawRoute, RawService};
use crate::routes::{Context, Route};
use crate::services::Service;
use crate::tls;
use crate::tokens::Section;
use portcullis_access_log::{Logs, RawLogs, RawTracing, Tracing};
use portcullis_breaker::Breakers;
use portcullis_client_ip::{ClientIpPolicy, RawClientIp};
use portcullis_edge_core::{ConfigError, HeaderName, Node};
use portcullis_findings::{FindingsPolicy, RawFindings};
use portcullis_jwt::{Env, Jwt};
use portcullis_metrics::{MetricsPolicy, RawMetrics};
use portcullis_route::RouteTable;
use portcullis_security_headers::{
    BrowserHeaders, Cors, RawBrowserHeader, RawCors, RawTrustHeaders, TrustHeaders,
};

/// The sections, each checked on its own.
pub(crate) struct Sections {
    gateway: RawGateway,
    path_prefix: String,
    client_ip: Option<ClientIpPolicy>,
    services: Vec<Service>,
    clusters: Vec<Cluster>,
    tokens: Section,
    routes: Vec<(usize, RawRoute)>,
    guards: RawGuards,
    findings: Option<RawFindings>,
    cors: Option<Cors>,
    trust: Option<TrustHeaders>,
    browser: BrowserHeaders,
    metrics: Option<MetricsPolicy>,
    logs: RawLogs,
    tracing: Option<RawTracing>,
    proxy: RawProxy,
}

impl Sections {
    /// Reads every section; what is wrong in them is noted in the document.
    pub fn read(document: &mut Document<'_>, env: Env<'_>) -> Self {
        let gateway = read_gateway(document);
        let path_prefix = read_prefix(document);
        let client_ip = read_client_ip(document);
        let services = read_services(document);
        let clusters = read_clusters(document, &services);
        let findings: Option<RawFindings> = document.section("findings");
        let handed = Handed::of(findings.as_ref());
        let tokens = Section::read(document, env, handed);
        let routes = document.list("routes");
        let guards = RawGuards::read(document);
        let cors = read_cors(document);
        let trust = read_trust(document, &tokens, subject_header(&gateway));
        let trust = trust.and_then(|trust| with_signature(trust, &guards, document));
        let proxy: RawProxy = document.section("proxy").unwrap_or_default();
        let has_tokens = document.has("jwt");
        document.errors.extend(handed.check_proxy(&proxy, has_tokens));
        document.errors.extend(Handed::check_token_use(guards.counts_tokens(), has_tokens));
        let trust = trust.and_then(|trust| with_service_header(trust, &proxy, document));
        let browser = read_browser(document);
        let metrics = read_metrics(document, &gateway.health_path);
        let logs = document.section("logs").unwrap_or_default();
        let tracing = document.section("tracing");
        Self {
            gateway,
            path_prefix,
            client_ip,
            services,
            clusters,
            tokens,
            routes,
            guards,
            findings,
            cors,
            trust,
            browser,
            metrics,
            logs,
            tracing,
            proxy,
        }
    }

    /// Compiles them, each with what it needs of the others.
    pub fn compile(self, env: Env<'_>, document: &mut Document<'_>) -> Option<Policy> {
        let routes = self.compile_routes(document);
        let table =
            document.keep(RouteTable::build(&routes.iter().map(|(i, r)| r.spec(*i)).collect::<Vec<_>>()));
        let guards = self.compile_guards(env, document);
        let findings = self.compile_findings(env, document);
        let logs = self.compile_logs(env, document);
        let tracing = self.compile_tracing(document);
        document.errors.extend(self.tokens.check_waits(self.gateway.request_timeout));
        let metrics = self.metrics?;
        document.errors.extend(listeners::check(&self.gateway, &metrics.listen));
        document.errors.extend(gateway::check_routes(&routes, [&self.gateway.health_path, &metrics.path]));
        let routes: Vec<Route> = routes.into_iter().map(|(_, route)| route).collect();
        let auth_services = asked_with_breaker(self.tokens.jwt.as_ref(), &self.services, &guards.breakers);
        let mut catalogue = Catalogue::of(
            &self.gateway.instance,
            &self.services,
            &routes,
            &metrics,
            self.tokens.jwt.as_ref(),
            &guards,
            &findings,
        );
        if !auth_services.is_empty() {
            catalogue.vocabulary.allow(&portcullis_breaker::metrics::AUTH_BREAKER);
        }
        let gateway = GatewayPaths::new(self.gateway);
        Some(Policy {
            gateway,
            path_prefix: self.path_prefix,
            client_ip: self.client_ip?,
            services: self.services,
            clusters: self.clusters,
            jwt: self.tokens.jwt,
            routes,
            table: table?,
            limits: guards.limits,
            concurrency: guards.concurrency,
            breakers: guards.breakers,
            abuse: guards.abuse,
            account: guards.account,
            source: guards.source,
            findings,
            business: guards.business,
            cors: self.cors,
            trust: self.trust?,
            browser: self.browser,
            metrics,
            logs: logs?,
            tracing,
            catalogue,
            service_header: service_header(&self.proxy),
            proxy: self.proxy,
            hash: String::new(),
            auth_services,
            environment: Vec::new(),
        })
    }

    fn compile_guards(&self, env: Env<'_>, document: &mut Document<'_>) -> Guards {
        let services: Vec<&str> = self.services.iter().map(|service| service.name.as_str()).collect();
        let clusters: Vec<&str> = self.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        self.guards.compile(&self.routes, &services, &clusters, env, document)
    }

    fn compile_logs(&self, env: Env<'_>, document: &mut Document<'_>) -> Option<Logs> {
        let routes: Vec<&str> = self.routes.iter().map(|(_, route)| route.path.as_str()).collect();
        let signature = self.guards.signature_header().map(|(name, _)| name);
        let secret: Vec<&str> = self.tokens.headers().chain(signature).collect();
        document.keep(self.logs.compile(&Node::top().key("logs"), &routes, &secret, env))
    }

    fn compile_findings(&self, env: Env<'_>, document: &mut Document<'_>) -> FindingsPolicy {
        let at = Node::top().key("findings");
        let compile = |raw: &RawFindings| raw.compile(&self.gateway.instance, &at, env);
        self.findings.as_ref().and_then(|raw| document.keep(compile(raw))).unwrap_or_default()
    }

    fn compile_tracing(&self, document: &mut Document<'_>) -> Option<Tracing> {
        let clusters: Vec<&str> = self.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        let raw = self.tracing.as_ref()?;
        document.keep(raw.compile(&Node::top().key("tracing"), &clusters))
    }

    fn compile_routes(&self, document: &mut Document<'_>) -> Vec<(usize, Route)> {
        let around = Context {
            prefix: &self.path_prefix,
            max_body_bytes: self.gateway.max_body_bytes,
            services: &self.services,
            browser: &self.browser,
            section: &self.tokens,
        };
        let mut compiled = Vec::new();
        for (index, raw) in &self.routes {
            let route = document.keep(Route::compile(*index, raw, &around));
            compiled.extend(route.map(|route| (*index, route)));
        }
        compiled
    }
}

fn read_gateway(document: &mut Document<'_>) -> RawGateway {
    let gateway: RawGateway = document.section("gateway").unwrap_or_default();
    let at = Node::top().key("gateway");
    document.errors.extend(gateway::check(&gateway, &at));
    document.errors.extend(gateway.tls.iter().flat_map(|raw| tls::check(raw, &at.key("tls"))));
    gateway
}

/// The prefix; `""` in the place of a wrong one, so that it makes no route wrong too.
fn read_prefix(document: &mut Document<'_>) -> String {
    let prefix: String = document.section("path_prefix").unwrap_or_default();
    match check_prefix(&prefix) {
        None => prefix,
        Some(error) => {
            document.errors.push(error);
            String::new()
        }
    }
}

fn read_client_ip(document: &mut Document<'_>) -> Option<ClientIpPolicy> {
    let raw: RawClientIp = document.section("client_ip").unwrap_or_default();
    document.keep(raw.compile(&Node::top().key("client_ip")))
}

fn read_cors(document: &mut Document<'_>) -> Option<Cors> {
    let raw: RawCors = document.section("cors")?;
    document.keep(raw.compile(&Node::top().key("cors")))
}

fn with_signature(
    trust: TrustHeaders,
    guards: &RawGuards,
    document: &mut Document<'_>,
) -> Option<TrustHeaders> {
    let Some((name, at)) = guards.signature_header() else { return Some(trust) };
    if !trust.to_set().any(|(name, _)| name.as_str() == SIGNED_SOURCE) {
        let sign = Node::top().key("source").key("sign");
        let expected =
            "`trust_headers.set` with `X-Source` beside it: backends look for that header, and it is signed";
        document.errors.push(sign.error("a signature without the header `X-Source`", expected));
    }
    document.keep(trust.writing(name, &at).map_err(|error| vec![error]))
}

/// A client that could write this header would choose its service.
fn with_service_header(
    trust: TrustHeaders,
    proxy: &RawProxy,
    document: &mut Document<'_>,
) -> Option<TrustHeaders> {
    let Some(name) = &proxy.service_header else { return Some(trust) };
    let at = Node::top().key("proxy").key("service_header");
    document.keep(trust.writing(name, &at).map_err(|error| vec![error]))
}

fn service_header(proxy: &RawProxy) -> Option<HeaderName> {
    HeaderName::parse(proxy.service_header.as_ref()?).ok()
}

/// The header by which a backend knows its gateway (`source.require.header` by default).
const SIGNED_SOURCE: &str = "x-source";

/// The header that tells services whose certificate a client has shown: nobody else may say so.
fn subject_header(gateway: &RawGateway) -> Option<&str> {
    let name = gateway.tls.as_ref()?.client_certificates.as_ref()?.subject_header.as_deref()?;
    // A wrong name is reported where it stands.
    HeaderName::parse(name).is_ok().then_some(name)
}

fn read_trust(document: &mut Document<'_>, tokens: &Section, subject: Option<&str>) -> Option<TrustHeaders> {
    let mut raw: RawTrustHeaders = document.section("trust_headers").unwrap_or_default();
    let is_reserved = |name: &str| raw.reserve.iter().any(|own| own.eq_ignore_ascii_case(name));
    let subject = subject.filter(|name| !is_reserved(name)).map(str::to_owned);
    raw.reserve.extend(subject);
    let claims = tokens.claim_headers();
    let trust = document.keep(raw.compile_with(&Node::top().key("trust_headers"), claims.as_deref()))?;
    document.errors.extend(tokens.check_sources(&trust));
    Some(trust.expecting_tokens(tokens.headers()))
}

fn read_browser(document: &mut Document<'_>) -> BrowserHeaders {
    let raw: Vec<RawBrowserHeader> = document.section("browser_headers").unwrap_or_default();
    let at = Node::top().key("browser_headers");
    document.keep(BrowserHeaders::compile(&raw, &BrowserHeaders::default(), &at)).unwrap_or_default()
}

fn read_metrics(document: &mut Document<'_>, health: &str) -> Option<MetricsPolicy> {
    let raw: RawMetrics = document.section("metrics").unwrap_or_default();
    let at = Node::top().key("metrics");
    document.errors.extend(gateway::check_metrics(&raw, health, &at));
    document.keep(raw.compile(&at))
}

fn read_services(document: &mut Document<'_>) -> Vec<Service> {
    let raw: Vec<(String, RawService)> = document.map("services");
    raw.iter().filter_map(|(name, service)| document.keep(Service::compile(name, service))).collect()
}

fn read_clusters(document: &mut Document<'_>, services: &[Service]) -> Vec<Cluster> {
    let raw: Vec<(String, RawCluster)> = document.optional_map("clusters");
    let compile = |(name, cluster): &(String, RawCluster)| Cluster::compile(name, cluster, services);
    raw.iter().filter_map(|entry| document.keep(compile(entry))).collect()
}

fn check_prefix(prefix: &str) -> Option<ConfigError> {
    let is_plain = prefix.is_empty()
        || (!prefix.ends_with('/')
            && portcullis_route::Template::parse(prefix).is_ok_and(|t| t.is_literal()));
    let found = format!("`{}`", prefix.escape_debug());
    if is_plain {
        None
    } else {
        Some(Node::top().key("path_prefix").error(found, "a plain path such as `/api/v1`"))
    }
}

/// Services that are asked about tokens and have a breaker. A service's cluster has its name.
fn asked_with_breaker(jwt: Option<&Jwt>, services: &[Service], breakers: &Breakers) -> Vec<usize> {
    let asked: Vec<&str> = jwt.map(|jwt| jwt.auth_clusters().collect()).unwrap_or_default();
    let services = services.iter().enumerate();
    let is_asked =
        |(index, service): &(usize, &Service)| breakers.has(*index) && asked.contains(&service.name.as_str());
    services.filter(is_asked).map(|(index, _)| index).collect()
}
