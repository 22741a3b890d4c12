//! Mistakes in a scenario: all of them at once, each with its place and the name that was meant.

use portcullis_harness_cli::plan::{Modules, load};

const MISTAKEN: &str = r#"name: x
plugins: [{ module: nowhere.wasm, nme: y, config_file: nowhere.yaml }]
upstreams: { web: [{ body: "${token.alic}" }], other: [{ fails: refusd }] }
tokens: { alice: { key: k, claims: { exp: { in: soon } } } }
steps:
  - request: GET /
    expect: { status: "~(", upstreams: { wbe: 1 }, staus: 200 }
  - advance: fast
    expect: { headers: {} }
  - request: "/"
  - reload: { plugin: 3, config: {} }
  - faults: {}
  - request: GET /
    expect: { headers: { ":status": 200 }, status: 20, upstreams: { web: { headers: { ":path": / } } } }
  - upstreams: { web: [{ delay: 5 }] }
"#;

/// Where each mistake stands, a part of what is told of it.
const TOLD: [(&str, &str); 21] = [
    ("14:26", "found the name `:status`, which no header has, expected it as `status`, beside `headers`"),
    ("14:52", "found `20`, expected a status"),
    ("14:87", "expected it as `path`, beside `headers`"),
    ("15:33", "found `5` without a unit, expected a unit behind the number, such as `5s` or `5ms`"),
    ("1:1", "2 upstreams and no routes"),
    ("2:21", "plugins[0].module: found `nowhere.wasm`"),
    ("2:35", "did you mean `name`?"),
    ("2:56", "plugins[0].config_file: found `nowhere.yaml`"),
    ("3:28", "found `alic`, expected a name from `tokens`: alice; did you mean `alice`?"),
    ("3:65", "did you mean `refused`?"),
    ("4:25", "tokens.alice.key: found `k`"),
    ("4:43", "found `soon`, expected a duration"),
    ("7:23", "found `~(`, expected a regular expression (unclosed group)"),
    ("7:47", "found `wbe`, expected a name from `upstreams`: web, other; did you mean `web`?"),
    ("7:52", "did you mean `status`?"),
    ("8:14", "found `fast`, expected a duration"),
    ("9:24", "`headers` without a request"),
    ("10:14", "expected a method and a path"),
    ("11:23", "expected a plugin's place, below 1"),
    ("12:13", "expected `only: harness`"),
    ("3:", "upstreams.web[0].body"),
];

#[test]
fn every_mistake_is_told_at_once_with_its_place_and_the_nearest_name() {
    let folder = std::env::temp_dir().join(format!("mistakes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("mistaken.yaml");
    std::fs::write(&file, MISTAKEN).expect("a file");
    let told = load(&file, &Modules::default(), false).expect_err("it is full of mistakes").short;
    std::fs::remove_dir_all(&folder).expect("it was there");
    for (place, part) in TOLD {
        let at = format!("mistaken.yaml:{place}");
        let is_told = told.lines().any(|line| line.contains(&at) && line.contains(part));
        assert!(is_told, "no {at} with {part:?} in\n{told}");
    }
}

const MISTAKEN_CONNECTION: &str = r#"name: x
plugins: [{ module: mistakes.rs }]
upstreams: { db: [{}] }
cluster_metadata: { bd: {} }
properties: { a.b: c }
foreign_functions: { f: x }
steps:
  - request: GET /
    expect: { connection: { client: x } }
  - connection: [{ client: x, ends: client }, { resets: both }]
"#;

#[test]
fn mistakes_of_connections_are_told_in_their_own_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mistaken.yaml");
    std::fs::write(&file, MISTAKEN_CONNECTION).expect("a file");
    std::fs::write(folder.path().join("mistakes.rs"), "").expect("a file");
    let told = load(&file, &Modules::default(), false).expect_err("it is full of mistakes").short;
    for part in [
        "cluster_metadata.bd: found `bd`, expected a name from `upstreams`: db",
        "properties: found properties on both sides, expected `only: harness`",
        "foreign_functions: found foreign functions on both sides",
        "`connection` without a connection",
        "found client and ends, expected exactly one of `client`, `upstream`, `ends`, `resets`",
        "steps[1].connection: found a connection beside requests",
    ] {
        assert!(told.contains(part), "no {part:?} in\n{told}");
    }
}

const MISTAKEN_SHARED: &str = r#"name: x
plugins: [{ module: mistakes.rs, vm_id: counters }]
shared: { vm_id: countres, data: { a: "${token.none}" } }
dns: { a.test: { addresses: [10.0.0], fails: true } }
steps:
  - shared: { data: { a: 1 } }
    expect: { shared: { vm_id: x, dta: {} }, status: 200 }
  - { advance: 1s, shared: {} }
"#;

#[test]
fn mistakes_in_shared_data_and_names_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mistaken.yaml");
    std::fs::write(&file, MISTAKEN_SHARED).expect("a file");
    std::fs::write(folder.path().join("mistakes.rs"), "").expect("a file");
    let told = load(&file, &Modules::default(), false).expect_err("it is full of mistakes").short;
    for part in [
        "shared.vm_id: found `countres`, expected the `vm_id` of a plugin: counters",
        "shared.data.a: found `none`",
        "found `10.0.0`, expected an address such as `10.0.0.1` or `fd00::1`",
        "dns.a.test: found `addresses` of a server that fails",
        "steps[0].expect.shared.vm_id: found `x`",
        "did you mean `data`?",
        "`status` without a request",
        "found advance and shared, expected exactly one of",
    ] {
        assert!(told.contains(part), "no {part:?} in\n{told}");
    }
}
