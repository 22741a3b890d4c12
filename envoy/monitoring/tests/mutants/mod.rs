//! Rules with one change each: another operator, threshold, window, label or hold.

use serde_json::Value;

/// Each rule that is asked for, changed once in every way, among the others.
pub fn of(needed: &[Value], wanted: &dyn Fn(&Value) -> bool) -> Vec<(String, Vec<Value>)> {
    let mut mutants = Vec::new();
    for (at, rule) in needed.iter().enumerate().filter(|(_, rule)| wanted(rule)) {
        let text = |at: &str| rule.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let name = format!(
            "{}{} {}{}",
            text("/alert"),
            text("/record"),
            text("/labels/slo"),
            text("/labels/signal")
        );
        let mut change = |field: &str, value: String| {
            let mut mutant = needed.to_vec();
            mutant[at][field] = value.clone().into();
            mutants.push((format!("{name}: {field}: {value}"), mutant));
        };
        let query = rule["expr"].as_str().expect("a query");
        // Any value fires.
        if query == "vector(1)" {
            continue;
        }
        changes(query).into_iter().for_each(|expr| change("expr", expr));
        if let Some(hold) = rule["for"].as_str() {
            change("for", "0s".to_owned());
            change("for", scaled_window(hold, 2, 1));
        }
    }
    mutants
}

/// A query, changed in every way.
fn changes(query: &str) -> Vec<String> {
    let tokens = tokens(query);
    let mut changes = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        for other in others(&tokens, index, token) {
            let mut changed: Vec<&str> = tokens.clone();
            changed[index] = &other;
            changes.push(changed.concat());
        }
    }
    changes
}

/// What a token can be changed to.
fn others(tokens: &[&str], index: usize, token: &str) -> Vec<String> {
    let before =
        tokens[..index].iter().rev().find(|token| !token.trim().is_empty()).copied().unwrap_or_default();
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    match token {
        ">" => list(&["<"]),
        "<" => list(&[">"]),
        "==" => list(&["!="]),
        "!=" => list(&["=="])
            .into_iter()
            .filter(|_| !in_braces(tokens, index))
            .chain(in_braces(tokens, index).then(|| "=".to_owned()))
            .collect(),
        "=" => list(&["!="]),
        "=~" => list(&["!~"]),
        "!~" => list(&["=~"]),
        "+" => list(&["-"]),
        "-" => list(&["+"]),
        "*" => list(&["/"]),
        "/" => list(&["*"]),
        "and" => list(&["unless"]),
        "or" => list(&["and"]),
        "unless" => list(&["and"]),
        _ if token.starts_with('[') => {
            let window = &token[1..token.len() - 1];
            vec![format!("[{}]", scaled_window(window, 1, 2)), format!("[{}]", scaled_window(window, 2, 1))]
        }
        // A value of a label; what label_replace writes is no label of a metric.
        _ if token.starts_with('"') && ["=", "!=", "=~", "!~"].contains(&before) => {
            vec![format!("\"mutant{}", &token[1..])]
        }
        _ if !token.starts_with(|c: char| c.is_ascii_digit()) => Vec::new(),
        _ if before == "offset" => vec![scaled_window(token, 1, 2), scaled_window(token, 2, 1)],
        _ => numbers(token),
    }
}

fn in_braces(tokens: &[&str], index: usize) -> bool {
    let depth = |token: &&str| match *token {
        "{" => 1_i32,
        "}" => -1,
        _ => 0,
    };
    tokens[..index].iter().map(depth).sum::<i32>() > 0
}

fn numbers(token: &str) -> Vec<String> {
    match token.parse::<f64>() {
        Ok(0.0) => vec!["2".to_owned()],
        Ok(number) => vec![(number * 0.5).to_string(), (number * 2.0).to_string()],
        Err(_) => Vec::new(),
    }
}

/// A duration of one unit, times a fraction, in seconds.
fn scaled_window(window: &str, times: u64, by: u64) -> String {
    let (number, unit) = window.split_at(window.len() - 1);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => 86_400,
    };
    format!("{}s", number.parse::<u64>().expect("a window of one unit") * seconds * times / by)
}

/// A query cut into words, numbers, quoted text, windows and signs; together they are the query.
fn tokens(query: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => quoted(rest),
            '[' => rest.find(']').map_or(rest.len(), |at| at + 1),
            c if c.is_ascii_alphanumeric() || c == '_' => {
                rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_:.".contains(c))).unwrap_or(rest.len())
            }
            _ if ["==", "!=", "=~", "!~", ">=", "<="].iter().any(|sign| rest.starts_with(sign)) => 2,
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(end);
        tokens.push(token);
        rest = after;
    }
    tokens
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    let closing = text.char_indices().skip(1).find(|(_, c)| {
        let closes = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        closes
    });
    closing.map_or(text.len(), |(at, _)| at + 1)
}
