//! The tables of CPU time.

use crate::contenders::{Bench, NATIVE, Services, WITHOUT_EDGE};
use crate::guards;
use crate::measure::{self, Measured, Plan, Requests};
use crate::tokens::{self, Sight};
use anyhow::Result;

/// Few routes and providers, and many.
const SIZES: [(usize, usize); 2] = [(1, 1), (100, 10)];

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// All chains.
    Chains(Services),
    /// Chains with so many routes.
    Routes(usize),
    /// Chains that check tokens of an algorithm.
    Tokens(&'static str, Sight, Services),
    /// The gateway with few routes and providers, and with many.
    Providers,
    /// The gateway without what an edge has, with it, and using it.
    Edge(Services),
    /// Chains that limit.
    Limits(Services),
    /// The gateway with one guard more each.
    Guards,
    /// What metrics and line cost.
    Ends,
}

/// All of them, in their order.
pub fn all() -> Vec<Table> {
    let both = [Services::Direct, Services::Upstream];
    let mut tables = both.map(Table::Chains).to_vec();
    tables.extend([1, 120].map(Table::Routes));
    tables.extend(both.map(Table::Edge));
    for alg in tokens::ALGORITHMS {
        let sights = [Sight::First, Sight::Repeated].into_iter();
        tables.extend(sights.flat_map(|sight| both.map(|services| Table::Tokens(alg, sight, services))));
    }
    tables.push(Table::Providers);
    tables.extend(both.map(Table::Limits));
    tables.extend([Table::Guards, Table::Ends]);
    tables
}

impl Table {
    /// What it shows.
    pub fn title(self) -> String {
        match self {
            Self::Chains(services) => format!("CPU time: {}", services.title()),
            Self::Routes(1) => "CPU time: 1 route".to_owned(),
            Self::Routes(count) => format!("CPU time: {count} routes"),
            Self::Tokens(alg, sight, services) => format!("{}: {}", sight.title(alg), services.title()),
            Self::Providers => "One token, with many routes and providers".to_owned(),
            Self::Limits(services) => {
                format!("One HS256 token, and limits by address, route and user: {}", services.title())
            }
            Self::Guards => "What a guard costs".to_owned(),
            Self::Ends => "What metrics and the log line cost".to_owned(),
            Self::Edge(services) => format!("Hosts, rewrites, upgrades, retries: {}", services.title()),
        }
    }

    /// The chain to which the others are compared.
    pub fn reference(self) -> &'static str {
        match self {
            Self::Chains(_) | Self::Routes(_) => NATIVE,
            Self::Tokens(..) => tokens::NATIVE,
            Self::Edge(_) => WITHOUT_EDGE,
            Self::Limits(_) => guards::LIMITED,
            Self::Guards => guards::UNGUARDED,
            Self::Ends => guards::SILENT,
            // The first one.
            Self::Providers => "",
        }
    }

    /// Measures it.
    ///
    /// # Errors
    /// If an Envoy does not start, or answers something else than 200.
    pub fn measure(self, bench: &Bench, plan: Plan) -> Result<Vec<Measured>> {
        let usual = Requests::usual;
        let (contenders, requests) = match self {
            Self::Chains(services) => (bench.contenders(services, plan.cores)?, usual()),
            Self::Routes(count) => (bench.with_routes(count, plan.cores)?, usual()),
            Self::Edge(services) => (bench.with_an_edge(services, plan.cores)?, usual()),
            Self::Limits(services) => (
                Bench::running(guards::limited(bench)?, services, plan.cores)?,
                tokens::requests("HS256", Sight::Repeated),
            ),
            Self::Guards => {
                (Bench::running(guards::one_by_one(bench)?, Services::Direct, plan.cores)?, usual())
            }
            Self::Ends => (Bench::running(guards::ends(bench)?, Services::Direct, plan.cores)?, usual()),
            Self::Tokens(alg, sight, services) => {
                (bench.with_tokens(alg, sight, services, plan.cores)?, tokens::requests(alg, sight))
            }
            Self::Providers => {
                (bench.with_providers(SIZES, plan.cores)?, tokens::requests("HS256", Sight::Repeated))
            }
        };
        let is_of_tokens = matches!(self, Self::Tokens(..) | Self::Providers | Self::Limits(_));
        measure::interleaved(contenders, if is_of_tokens { plan.for_tokens() } else { plan }, &requests)
    }
}
