use super::*;
use crate::RawRules;
use portcullis_edge_core::{ConfigErrors, Node};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Claims as JSON, with `roles` and `scopes` beside them.
struct Bearer(Value);

impl Bearer {
    fn has(&self, key: &str, name: &str) -> bool {
        self.0[key].as_array().is_some_and(|names| names.iter().any(|n| n == name))
    }
}

impl Subject for Bearer {
    fn has_role(&self, role: &str) -> bool {
        self.has("roles", role)
    }

    fn has_scope(&self, scope: &str) -> bool {
        self.has("scopes", scope)
    }

    fn any_claim(&self, path: &[String], test: &mut dyn FnMut(Scalar<'_>) -> bool) -> bool {
        let found = path.iter().try_fold(&self.0, |here, step| here.get(step));
        let values =
            found.map(|v| v.as_array().cloned().unwrap_or_else(|| vec![v.clone()])).unwrap_or_default();
        values.iter().any(|value| match value {
            Value::String(text) => test(Scalar::Text(text)),
            Value::Bool(b) => test(Scalar::Bool(*b)),
            Value::Number(n) => n.as_u64().is_some_and(|n| test(Scalar::UInt(n))),
            _ => false,
        })
    }
}

fn compile(rules: Value) -> Result<Rules, Vec<String>> {
    let raw: RawRules = deserr::deserialize::<_, _, ConfigErrors>(rules).unwrap();
    raw.compile(&Node::top().key("authz")).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn check(rules: Value, bearer: Option<Value>, client: &str) -> Result<(), Forbidden> {
    compile(rules).unwrap().check(bearer.map(Bearer).as_ref(), client.parse().ok())
}

const NOBODY: Option<Value> = None;

#[test]
fn roles_and_scopes_are_any_and_all() {
    let rules = json!({"allow": [{"roles": {"any": ["admin", "vip"]}, "scopes": {"all": ["r", "w"]}}]});
    let check = |roles: Value, scopes: Value| {
        check(rules.clone(), Some(json!({"roles": roles, "scopes": scopes})), "192.0.2.1")
    };
    assert_eq!(check(json!(["vip"]), json!(["w", "r", "x"])), Ok(()));
    assert_eq!(
        check(json!(["customer"]), json!(["r", "w"])),
        Err(Forbidden::NotAllowed(Some(Condition::Roles)))
    );
    assert_eq!(check(json!(["admin"]), json!(["r"])), Err(Forbidden::NotAllowed(Some(Condition::Scopes))));
    assert_eq!(
        check(json!(["Admin"]), json!(["r", "w"])),
        Err(Forbidden::NotAllowed(Some(Condition::Roles)))
    );
    assert_eq!(check(json!([]), json!([])), Err(Forbidden::NotAllowed(Some(Condition::Roles))));
}

#[test]
fn what_no_rule_allows_is_forbidden_and_nobody_matches_nothing() {
    let rules = json!({"allow": [{"roles": {"any": ["a"]}}, {"scopes": {"any": ["b"]}}]});
    assert_eq!(check(rules.clone(), NOBODY, "192.0.2.1"), Err(Forbidden::NotAllowed(None)));
    assert_eq!(check(rules.clone(), Some(json!({"roles": ["b"]})), ""), Err(Forbidden::NotAllowed(None)));
    assert_eq!(check(rules, Some(json!({"scopes": ["b"]})), ""), Ok(()));
    let open = json!({"deny": [{"roles": {"any": ["banned"]}}], "default": "allow"});
    assert_eq!(check(open.clone(), NOBODY, ""), Ok(()));
    assert_eq!(check(open, Some(json!({"roles": ["banned"]})), ""), Err(Forbidden::Denied(0)));
}

#[test]
fn every_rule_is_explained_with_the_condition_that_fails() {
    let rules = json!({
        "deny": [{"networks": ["10.0.0.0/8"]}],
        "allow": [{"roles": {"any": ["a"]}}, {"roles": {"any": ["b"]}, "scopes": {"all": ["w"]}}]});
    let told = |client: &str| {
        let judged = compile(rules.clone())
            .unwrap()
            .explain(Some(&Bearer(json!({"roles": ["b"], "scopes": []}))), client.parse().ok());
        judged.iter().map(|j| format!("{}[{}] {:?}", j.list, j.index, j.failing)).collect::<Vec<_>>()
    };
    assert_eq!(
        told("192.0.2.1"),
        ["deny[0] Some(Networks)", "allow[0] Some(Roles)", "allow[1] Some(Scopes)"]
    );
    assert_eq!(told("")[0], "deny[0] None");
}

#[test]
fn deny_comes_before_allow() {
    let rules = json!({
        "deny": [{"networks": ["10.0.0.0/8"]}, {"claims": [{"claim": "suspended", "one_of": [true]}]}],
        "allow": [{"roles": {"any": ["a"]}}]});
    let bearer = |suspended: bool| Some(json!({"roles": ["a"], "suspended": suspended}));
    assert_eq!(check(rules.clone(), bearer(false), "192.0.2.1"), Ok(()));
    assert_eq!(check(rules.clone(), bearer(true), "192.0.2.1"), Err(Forbidden::Denied(1)));
    assert_eq!(check(rules, bearer(false), "10.1.2.3"), Err(Forbidden::Denied(0)));
}

#[test]
fn claims_are_compared_by_type_and_found_by_pointer() {
    let holds = |claim: &str, one_of: Value| {
        let rules = json!({"allow": [{"claims": [{"claim": claim, "one_of": one_of}]}]});
        let bearer = json!({"a/b": {"c": ["x", 7]}, "n": 1, "ok": true, "none": null, "o": {}});
        check(rules, Some(bearer), "").is_ok()
    };
    assert!(holds("/a~1b/c", json!(["y", "x"])));
    assert!(holds("/a~1b/c", json!([7])));
    assert!(holds("n", json!([1])));
    assert!(holds("ok", json!([true])));
    assert!(!holds("n", json!(["1", true])));
    assert!(!holds("ok", json!(["true", 1])));
    assert!(!holds("none", json!(["null"])));
    assert!(!holds("o", json!([""])));
    assert!(!holds("absent", json!([""])));
}

#[test]
fn networks_see_through_mapped_addresses_and_fail_closed_without_one() {
    let allow = json!({"allow": [{"networks": ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]}]});
    for inside in ["10.255.0.1", "::ffff:10.0.0.1", "2001:db8:1::1", "192.0.2.1"] {
        assert_eq!(check(allow.clone(), NOBODY, inside), Ok(()), "{inside}");
    }
    let refused = Err(Forbidden::NotAllowed(Some(Condition::Networks)));
    for outside in ["11.0.0.1", "2001:db9::1", "192.0.2.2", "::ffff:11.0.0.1", ""] {
        assert_eq!(check(allow.clone(), NOBODY, outside), refused, "{outside}");
    }
    let deny = json!({"deny": [{"networks": ["10.0.0.0/8"]}], "default": "allow"});
    assert_eq!(check(deny.clone(), NOBODY, ""), Err(Forbidden::Denied(0)));
    assert_eq!(check(deny, NOBODY, "192.0.2.1"), Ok(()));
}

#[test]
fn rules_that_mean_nothing_are_mistakes() {
    let errors = |rules: Value| compile(rules).err().unwrap_or_default().join("\n");
    assert!(errors(json!({})).starts_with("authz: found no `allow` rule"));
    assert!(errors(json!({"allow": [{}]})).starts_with("authz.allow[0]: found no condition"));
    for bad in ["10.0.0.1/8", "10.0.0.0/33", "10.0.0", "::ffff:10.0.0.0/104", "localhost"] {
        let found = errors(json!({"allow": [{"networks": ["10.0.0.0/8", bad]}]}));
        assert!(found.starts_with("authz.allow[0].networks[1]"), "{bad}: {found}");
    }
    for one_of in [json!([]), json!([null]), json!([["a"]])] {
        let found = errors(json!({"allow": [{"claims": [{"claim": "a", "one_of": one_of}]}]}));
        assert!(found.starts_with("authz.allow[0].claims[0].one_of"), "{found}");
    }
}

#[test]
fn rules_tell_whether_a_token_could_help_and_which_scopes() {
    let rules = |rules: Value| compile(rules).unwrap();
    assert!(
        rules(json!({"allow": [{"scopes": {"any": ["r"]}, "networks": ["10.0.0.0/8"]}]})).needs_subject()
    );
    assert!(!rules(json!({"allow": [{"networks": ["10.0.0.0/8"]}]})).needs_subject());
    assert!(!rules(json!({"default": "allow"})).needs_subject());
    let scoped = rules(json!({"allow": [{"scopes": {"any": ["r"], "all": ["w"]}}]}));
    assert_eq!(scoped.scopes().collect::<Vec<_>>(), ["w", "r"]);
}

#[test]
fn a_scope_that_could_break_a_challenge_is_a_mistake() {
    for bad in ["", "a b", "a\"", "a\\", "a\r\nx-evil: 1", "é"] {
        let errors = compile(json!({"allow": [{"scopes": {"all": ["fine:one", bad]}}]})).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with("authz.allow[0].scopes.all[1]: "), "{errors:?}");
    }
}

/// The verdict and its weight where the token is in shadow mode: of a bearer, or of one whose token was refused.
fn shadowed(rules: &Value, who: Option<Value>, client: &str) -> Option<(Result<(), Forbidden>, Mode)> {
    let rules = compile(rules.clone()).unwrap().with_bearer_mode(Mode::Shadow);
    let bearer = who.map(Bearer);
    let who = bearer.as_ref().map_or(Who::Unsure, Who::Bearer);
    rules.judge(who, client.parse().ok())
}

#[test]
fn networks_are_denied_whatever_became_of_the_token() {
    let rules = json!({
        "deny": [{"networks": ["10.0.0.0/8"]}],
        "allow": [{"roles": {"any": ["admin"]}}]});
    let denied = Some((Err(Forbidden::Denied(0)), Mode::Enforce));
    for client in ["10.1.2.3", ""] {
        assert_eq!(shadowed(&rules, None, client), denied, "{client}");
        assert_eq!(shadowed(&rules, Some(json!({"roles": ["admin"]})), client), denied, "{client}");
    }
    assert_eq!(shadowed(&rules, None, "192.0.2.1"), Some((Ok(()), Mode::Enforce)));
    let role_missing = Err(Forbidden::NotAllowed(Some(Condition::Roles)));
    assert_eq!(shadowed(&rules, Some(json!({})), "192.0.2.1"), Some((role_missing, Mode::Shadow)));
}

#[test]
fn a_network_that_must_be_right_must_be_right_beside_a_role_that_nobody_looks_at() {
    let rules = json!({"allow": [{"networks": ["10.0.0.0/8"], "roles": {"any": ["admin"]}}]});
    let outside = Some((Err(Forbidden::NotAllowed(Some(Condition::Networks))), Mode::Enforce));
    for who in [None, Some(json!({"roles": ["admin"]})), Some(json!({}))] {
        assert_eq!(shadowed(&rules, who, "192.0.2.1"), outside);
    }
    assert_eq!(shadowed(&rules, None, "10.0.0.1"), Some((Ok(()), Mode::Enforce)));
}

#[test]
fn a_rule_that_denies_some_bearer_from_a_network_denies_none_who_is_not_known() {
    let rules = json!({
        "deny": [{"networks": ["10.0.0.0/8"], "roles": {"any": ["guest"]}}],
        "default": "allow"});
    assert_eq!(shadowed(&rules, None, "10.0.0.1"), Some((Ok(()), Mode::Enforce)));
    let guest = Some(json!({"roles": ["guest"]}));
    assert_eq!(shadowed(&rules, guest, "10.0.0.1"), Some((Err(Forbidden::Denied(0)), Mode::Shadow)));
}

#[test]
fn rules_on_a_bearer_alone_say_nothing_of_one_who_is_not_known() {
    assert_eq!(shadowed(&json!({"allow": [{"roles": {"any": ["admin"]}}]}), None, "192.0.2.1"), None);
}

#[test]
fn of_one_who_is_not_known_rules_on_a_bearer_say_nothing_whatever_their_mode() {
    let rules = compile(json!({"allow": [{"roles": {"any": ["admin"]}}]})).unwrap();
    assert_eq!((rules.mode(), rules.bearer_mode()), (Mode::Enforce, Mode::Enforce));
    assert_eq!(rules.judge(Who::<Bearer>::Unsure, None), None);
}

#[test]
fn modes_are_what_the_policy_says_and_what_the_token_leaves_of_it() {
    let rules = compile(json!({"default": "allow", "mode": "shadow"})).unwrap();
    assert_eq!((rules.mode(), rules.bearer_mode()), (Mode::Shadow, Mode::Shadow));
    let rules = rules.with_bearer_mode(Mode::Off);
    assert_eq!((rules.mode(), rules.bearer_mode()), (Mode::Shadow, Mode::Off));
}

#[test]
fn rules_know_what_they_ask_of_a_bearer() {
    let asks = |rule: Value| {
        let rules = [json!({"allow": [rule.clone()]}), json!({"deny": [rule], "default": "allow"})];
        rules.map(|rules| {
            let rules = compile(rules).unwrap();
            (rules.speak_of_subject(), rules.speak_of_roles())
        })
    };
    assert_eq!(asks(json!({"networks": ["10.0.0.0/8"]})), [(false, false); 2]);
    assert_eq!(asks(json!({"scopes": {"any": ["r"]}})), [(true, false); 2]);
    assert_eq!(asks(json!({"roles": {"any": ["admin"]}})), [(true, true); 2]);
    assert_eq!(asks(json!({"roles": {"all": ["admin"]}})), [(true, true); 2]);
}

#[test]
fn reasons_and_conditions_have_the_names_of_labels_and_policy() {
    let conditions = [Condition::Roles, Condition::Scopes, Condition::Claims, Condition::Networks];
    assert_eq!(conditions.map(Condition::as_str), ["roles", "scopes", "claims", "networks"]);
    let failed = conditions.map(|condition| Forbidden::NotAllowed(Some(condition)).as_str());
    assert_eq!(failed, ["role_missing", "scope_missing", "claim_mismatch", "network_not_allowed"]);
    let others = [Forbidden::Denied(7), Forbidden::NotAllowed(None)];
    assert_eq!(others.map(Forbidden::as_str), ["denied_by_rule", "no_rule_allows"]);
}

#[test]
fn a_claim_of_any_scalar_type_is_accepted_for_what_it_is_alone() {
    let rules =
        compile(json!({"allow": [{"claims": [{"claim": "c", "one_of": [true, -3, 1.5, "1", 1]}]}]})).unwrap();
    let claim = &rules.allow[0].claims[0];
    let accepted =
        [Scalar::Bool(true), Scalar::Int(-3), Scalar::Float(1.5), Scalar::Text("1"), Scalar::UInt(1)];
    assert!(accepted.iter().all(|scalar| claim.accepts(*scalar)));
    let others =
        [Scalar::Bool(false), Scalar::Int(-4), Scalar::Float(2.5), Scalar::Text("true"), Scalar::UInt(3)];
    assert!(!others.iter().any(|scalar| claim.accepts(*scalar)));
}
