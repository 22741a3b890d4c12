//! Failed logins, as the policy's `abuse.failed_logins` knows them: answers of these statuses from these routes.

use crate::query;
use crate::rule::Rule;
use crate::vocabulary::Missing;
use portcullis_policy::Policy;

/// The rule that records them.
///
/// # Errors
/// If the policy watches no logins.
pub fn of(policy: &Policy) -> Result<Rule, Missing> {
    let missing = || {
        let exists = ", which exists where the policy has a section `abuse.failed_logins`";
        Missing::Metric("gateway:failed_logins:rate5m".to_owned(), exists.to_owned())
    };
    let logins = policy.abuse.logins.as_ref().ok_or_else(missing)?;
    let counted =
        policy.catalogue.routes.iter().enumerate().filter(|(route, _)| logins.is_login(Some(*route)));
    let endpoints: Vec<String> = counted
        .filter_map(|(_, counted)| policy.catalogue.endpoints.get(counted.endpoint.0).cloned())
        .collect();
    let statuses: Vec<u16> = (400..500).filter(|status| logins.is_failure(*status)).collect();
    Ok(rule(&endpoints, &statuses))
}

/// For these endpoints and statuses.
pub fn rule(endpoints: &[String], statuses: &[u16]) -> Rule {
    let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
    let endpoints: Vec<String> = endpoints.iter().map(|endpoint| escaped(endpoint)).collect();
    let metric = query!("gateway_errors_total");
    let expr = format!(
        r#"sum by (job) (rate({metric}{{endpoint=~"{}",status_code=~"{}"}}[5m]))"#,
        endpoints.join("|"),
        statuses.join("|"),
    );
    Rule::record("gateway:failed_logins:rate5m", expr)
}

/// A template as a regular expression within a PromQL string.
fn escaped(endpoint: &str) -> String {
    let special = |c: char| r".+*?()|[]{}^$\".contains(c);
    let character = |c: char| if special(c) { format!(r"\\{c}") } else { c.to_string() };
    endpoint.chars().map(character).collect()
}
