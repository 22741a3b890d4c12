//! Who is compared.

use crate::Arguments;
use crate::bootstrap::{Bootstrap, configured, plugin};
use crate::cpus::Cores;
use crate::measure::Contender;
use crate::modules;
use crate::policy::Document;
use crate::soak;
use crate::tokens::{self, Sight};
use crate::upstream::Upstream;
use anyhow::{Context, Result};
use portcullis_e2e::workspace;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Envoy with a router alone.
pub const BARE: &str = "no filter";
/// With a filter that does nothing.
pub const EMPTY: &str = "empty wasm filter";
/// With Envoy's own filters doing the work.
pub const NATIVE: &str = "native chain";
/// The gateway as it is rendered.
pub const GATEWAY: &str = "portcullis";
/// The gateway in a proxy that somebody else configured.
pub const ALONE: &str = "portcullis, Envoy's help declined";

/// The gateway with nothing that an edge has.
pub const WITHOUT_EDGE: &str = "nothing of it";

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Services {
    /// Envoy itself.
    Direct,
    /// A service.
    Upstream,
}

impl Services {
    /// What is measured then.
    pub fn title(self) -> &'static str {
        match self {
            Self::Direct => "the chain alone (Envoy answers itself)",
            Self::Upstream => "a whole request, with an upstream",
        }
    }
}

/// One more chain.
#[derive(Clone, Debug)]
pub struct Also {
    name: String,
    file: PathBuf,
}

impl FromStr for Also {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) = text.split_once('=').ok_or("expected NAME=FILE")?;
        Ok(Self { name: name.to_owned(), file: file.into() })
    }
}

/// Everything that is needed to build the bootstraps.
pub struct Bench {
    document: Document,
    gateway: PathBuf,
    empty: PathBuf,
    increments: PathBuf,
    sights: PathBuf,
    also: Vec<Also>,
    only: Vec<String>,
    upstream: Upstream,
}

/// The policy that is measured.
pub fn policy_file(arguments: &Arguments) -> PathBuf {
    arguments.policy.clone().unwrap_or_else(|| workspace().join("envoy/gateway.yaml"))
}

impl Bench {
    /// Finds modules and policy, and starts the upstream.
    ///
    /// # Errors
    /// If something is missing.
    pub fn open(arguments: &Arguments) -> Result<Self> {
        let increments = modules::find(arguments.increments.as_deref(), "examples/increments.wasm")?;
        let sights = modules::find(arguments.sights.as_deref(), "examples/sights.wasm")?;
        Ok(Self {
            document: Document::read(&policy_file(arguments))?,
            gateway: modules::find(arguments.gateway.as_deref(), "portcullis.wasm")?,
            empty: modules::find(arguments.empty.as_deref(), "examples/empty.wasm")?,
            increments,
            sights,
            also: arguments.also.clone(),
            only: arguments.only.clone(),
            upstream: Upstream::start()?,
        })
    }

    fn render(&self, document: &Document, module: &Path, offload: bool) -> Result<Bootstrap> {
        Bootstrap::new(document.render(module, offload, self.upstream.address())?)
    }

    /// The bootstraps, as the policy renders them: with an upstream, and the log on standard output.
    ///
    /// # Errors
    /// If the policy has a mistake.
    fn chains(&self, document: &Document) -> Result<Vec<(String, Bootstrap)>> {
        let rendered = self.render(document, &self.gateway, true)?;
        let alone = self.render(document, &self.gateway, false)?;
        let named = |name: &str, bootstrap| (name.to_owned(), bootstrap);
        Ok(vec![
            named(BARE, alone.clone().bare()),
            named(EMPTY, alone.clone().bare().with_filter(plugin(&self.empty))),
            named(NATIVE, rendered.clone().native()),
            named(GATEWAY, rendered),
            named(ALONE, alone),
        ])
    }

    fn also(&self) -> Result<Vec<(String, Bootstrap)>> {
        self.also.iter().map(|also| Ok((also.name.clone(), self.other(&also.file)?))).collect()
    }

    fn other(&self, file: &Path) -> Result<Bootstrap> {
        if file.extension().is_some_and(|extension| extension == "wasm") {
            return self.render(&self.document, &file.canonicalize()?, true);
        }
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        Bootstrap::new(serde_json::from_str(&text).with_context(|| file.display().to_string())?)
    }

    /// All chains and those of `--also`, or those of `--only` alone.
    ///
    /// # Errors
    /// If the policy has a mistake.
    pub fn bootstraps(&self) -> Result<Vec<(String, Bootstrap)>> {
        let mut all = self.chains(&self.document)?;
        all.extend(self.also()?);
        all.retain(|(name, _)| self.only.is_empty() || self.only.contains(name));
        Ok(all)
    }

    /// Running Envoys with all chains.
    ///
    /// # Errors
    /// If one does not start.
    pub fn contenders(&self, services: Services, cores: Option<Cores>) -> Result<Vec<Contender>> {
        contenders(self.bootstraps()?, services, cores)
    }

    /// Running Envoys with so many routes.
    ///
    /// # Errors
    /// If one does not start.
    pub fn with_routes(&self, count: usize, cores: Option<Cores>) -> Result<Vec<Contender>> {
        let mut chains = self.chains(&self.document.with_routes(count))?;
        chains.retain(|(name, _)| [BARE, NATIVE, GATEWAY].contains(&name.as_str()));
        contenders(chains, Services::Direct, cores)
    }

    /// Running Envoys without what an edge has, with it on other routes, and with it on the route that is asked.
    ///
    /// # Errors
    /// If one does not start.
    pub fn with_an_edge(&self, services: Services, cores: Option<Cores>) -> Result<Vec<Contender>> {
        let chains = [
            (WITHOUT_EDGE, self.document.clone()),
            ("all of it on other routes", self.document.with_an_edge()),
            ("host, rewrite, slashes and retries on this route", self.document.on_an_edge()),
        ];
        let chain = |(name, document): (&str, Document)| Ok((name.to_owned(), self.rendered(&document)?));
        contenders(chains.into_iter().map(chain).collect::<Result<_>>()?, services, cores)
    }

    /// The gateway with so many routes, for scrapes.
    ///
    /// # Errors
    /// If the policy has a mistake.
    pub fn scraped(&self, routes: usize) -> Result<Value> {
        Ok(ready(self.rendered(&self.document.with_routes(routes))?, Services::Direct))
    }

    /// The policy.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The bootstrap of a policy with the gateway in it.
    ///
    /// # Errors
    /// If the policy has a mistake.
    pub fn rendered(&self, document: &Document) -> Result<Bootstrap> {
        self.render(document, &self.gateway, true)
    }

    /// The same policy with another module in it.
    ///
    /// # Errors
    /// If the policy has a mistake.
    pub fn rendered_with(&self, module: &Path) -> Result<Bootstrap> {
        self.render(&self.document, module, true)
    }

    /// The gateway's module.
    pub fn gateway(&self) -> &Path {
        &self.gateway
    }

    /// Running Envoys with these chains.
    ///
    /// # Errors
    /// If one does not start.
    pub fn running(
        chains: Vec<(String, Bootstrap)>,
        services: Services,
        cores: Option<Cores>,
    ) -> Result<Vec<Contender>> {
        contenders(chains, services, cores)
    }

    /// Running Envoys that check tokens.
    ///
    /// # Errors
    /// If one does not start.
    pub fn with_tokens(
        &self,
        alg: &str,
        sight: Sight,
        services: Services,
        cores: Option<Cores>,
    ) -> Result<Vec<Contender>> {
        contenders(tokens::chains(self, alg, sight)?, services, cores)
    }

    /// Running Envoys with so many routes and providers: few, and many.
    ///
    /// # Errors
    /// If one does not start.
    pub fn with_providers(&self, sizes: [(usize, usize); 2], cores: Option<Cores>) -> Result<Vec<Contender>> {
        let chain = |(routes, providers): (usize, usize)| -> Result<_> {
            let document = tokens::many(&self.document, routes, providers);
            Ok((format!("routes: {routes}, providers: {providers}"), self.rendered(&document)?))
        };
        contenders(sizes.into_iter().map(chain).collect::<Result<_>>()?, Services::Direct, cores)
    }

    /// The bootstraps whose start-up is compared.
    ///
    /// # Errors
    /// If the policy has a mistake.
    pub fn started(&self) -> Result<Vec<(&'static str, Value)>> {
        let wanted = [BARE, EMPTY, NATIVE, GATEWAY];
        let mut chains = self.chains(&self.document)?;
        let mut take = |name: &'static str| {
            let at = chains.iter().position(|(own, _)| own == name)?;
            Some((name, ready(chains.swap_remove(at).1, Services::Direct)))
        };
        Ok(wanted.into_iter().filter_map(&mut take).collect())
    }

    /// The gateway, for a soak.
    ///
    /// # Errors
    /// If the policy has a mistake.
    pub fn soaked(&self) -> Result<Value> {
        Ok(ready(self.render(&self.document, &self.gateway, true)?, Services::Direct))
    }

    /// The gateway with a limit by address, which a proxy in front of it says.
    ///
    /// # Errors
    /// If the policy has a mistake.
    pub fn flooded(&self) -> Result<Value> {
        let rule = json!({ "key": ["ip"], "limit": soak::LIMIT, "window": "1d" });
        let document =
            self.document.with_section("limits", json!({ "rules": { "per_ip": rule } })).with_section(
                "client_ip",
                json!({ "trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0", "::/0"] }),
            );
        Ok(ready(self.rendered(&document)?, Services::Direct))
    }

    /// The gateway, for a soak with tokens, with so much memory for known ones, or the default.
    ///
    /// # Errors
    /// If the policy has a mistake.
    pub fn soaked_with_tokens(&self, cache: Option<u32>) -> Result<Value> {
        Ok(ready(self.rendered(&tokens::soaked(&self.document, cache))?, Services::Direct))
    }

    /// An Envoy with the module that counts.
    ///
    /// # Errors
    /// If the policy has a mistake.
    pub fn counting(&self) -> Result<Value> {
        let bare = self.render(&self.document, &self.gateway, false)?.bare();
        Ok(bare.with_filter(plugin(&self.increments)).into_value())
    }

    /// An Envoy with the module that looks at tokens, configured so.
    ///
    /// # Errors
    /// If the policy has a mistake.
    pub fn looking(&self, configuration: &Value) -> Result<Value> {
        let bare = self.render(&self.document, &self.gateway, false)?.bare();
        Ok(bare.with_filter(configured(&self.sights, configuration)).into_value())
    }

    /// Sizes of the modules, in bytes.
    ///
    /// # Errors
    /// If one is gone.
    pub fn sizes(&self) -> Result<Vec<(&'static str, u64)>> {
        let size = |path: &Path| -> Result<u64> { Ok(std::fs::metadata(path)?.len()) };
        Ok(vec![(GATEWAY, size(&self.gateway)?), (EMPTY, size(&self.empty)?)])
    }

    /// Writes the bootstraps of direct responses into a folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn dump(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        for (name, bootstrap) in self.bootstraps()? {
            let file = folder.join(format!("{}.json", name.replace([' ', ',', '\''], "-")));
            std::fs::write(file, format!("{:#}\n", ready(bootstrap, Services::Direct)))?;
        }
        Ok(())
    }

    /// As without arguments.
    #[cfg(test)]
    pub fn of_defaults() -> Self {
        use clap::Parser as _;
        Self::open(&Arguments::parse_from(["portcullis-bench"])).expect("the modules are built")
    }

    /// Where the requests go.
    #[cfg(test)]
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }
}

fn ready(bootstrap: Bootstrap, services: Services) -> Value {
    let bootstrap = bootstrap.log_to_nowhere();
    match services {
        Services::Direct => bootstrap.direct().into_value(),
        Services::Upstream => bootstrap.into_value(),
    }
}

fn contenders(
    chains: Vec<(String, Bootstrap)>,
    services: Services,
    cores: Option<Cores>,
) -> Result<Vec<Contender>> {
    chains.into_iter().map(|(name, chain)| Contender::start(&name, ready(chain, services), cores)).collect()
}
