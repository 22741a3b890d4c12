//! What services believe of a request because some proxy is wont to say it.
//!
//! A client that says it itself would be believed, so its copies are removed unless the policy passes a name
//! (`trust_headers.pass`). Each group says who believes it, and what a forged copy does there. Names that the policy itself sets or
//! reads are its own business and not reserved here.

/// Why a group of headers is not a client's to send.
pub struct Reserved {
    /// What a service makes of them.
    pub because: &'static str,
    /// Whole names, in lower case.
    pub names: &'static [&'static str],
    /// Beginnings of names, in lower case.
    pub families: &'static [&'static str],
}

/// All of them.
pub const RESERVED: [Reserved; 8] = [
    Reserved {
        because: "frameworks and logs take the client's address from it, and so do rules and limits that a service has of its own",
        names: &[
            "forwarded",
            "x-real-ip",
            "x-client-ip",
            "x-cluster-client-ip",
            "x-original-forwarded-for",
            "x-remote-addr",
            "x-remote-ip",
            "x-originating-ip",
            "x-azure-clientip",
            "x-azure-socketip",
            "x-appengine-user-ip",
            "client-ip",
            "true-client-ip",
            "cf-connecting-ip",
            "cf-connecting-ipv6",
            "fastly-client-ip",
            "fly-client-ip",
            "x-forwarded",
            "forwarded-for",
            "x-forward-for",
            "x-true-ip",
            "x-proxyuser-ip",
            "proxy-client-ip",
            "wl-proxy-client-ip",
            "http-client-ip",
            "cloudfront-viewer-address",
        ],
        families: &[],
    },
    Reserved {
        because: "frameworks build links, redirects and password-reset mails from it, and caches keep them for others",
        names: &[
            "x-forwarded-host",
            "x-forwarded-server",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-forwarded-path",
            "x-forwarded-uri",
            "x-original-host",
            "x-host",
            "x-http-host-override",
            "x-script-name",
        ],
        families: &[],
    },
    Reserved {
        because: "frameworks take the request for one that came over TLS, and send cookies that are for TLS only",
        names: &[
            "front-end-https",
            "x-forwarded-scheme",
            "x-forwarded-protocol",
            "x-forwarded-ssl",
            "x-forwarded-tls",
            "x-scheme",
            "x-url-scheme",
        ],
        families: &[],
    },
    Reserved {
        because: "frameworks (IIS and its rewriter, Symfony, Zend) route by it instead of the path that the gateway has judged",
        names: &[
            "x-original-url",
            "x-original-uri",
            "x-rewrite-url",
            "x-envoy-original-path",
            "x-envoy-original-host",
            "x-request-uri",
            "x-http-path-override",
            // Next.js runs no middleware, and so no checks, for a request with it (CVE-2025-29927).
            "x-middleware-subrequest",
        ],
        families: &[],
    },
    Reserved {
        because: "frameworks (Rails, Laravel, Express, Django REST) use it instead of the method that the gateway has judged",
        names: &[
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
            "x-original-method",
            "x-forwarded-method",
        ],
        families: &[],
    },
    Reserved {
        because: "CGI and its heirs make HTTP_PROXY of it, through which their HTTP clients then send (CVE-2016-5385)",
        names: &["proxy"],
        families: &[],
    },
    Reserved {
        because: "applications behind an authenticating proxy take it for the name, groups or certificate of the user",
        names: &[
            "remote-user",
            "remote-groups",
            "remote-email",
            "remote-name",
            "x-remote-user",
            "x-remote-group",
            "x-forwarded-user",
            "x-forwarded-email",
            "x-forwarded-groups",
            "x-forwarded-preferred-username",
            "x-forwarded-access-token",
            "x-forwarded-tls-client-cert",
            "x-forwarded-tls-client-cert-info",
            "x-webauth-user",
            "x-client-cert",
            "x-client-verify",
            "x-client-dn",
            "client-cert",
            "client-cert-chain",
            "x-arr-clientcert",
            "x-auth-user",
            "x-authenticated-user",
            "x-authenticated-userid",
            "x-userinfo",
            "x-jwt-assertion",
            "x-goog-iap-jwt-assertion",
            "x-endpoint-api-userinfo",
            "impersonate-user",
            "impersonate-group",
            "impersonate-uid",
        ],
        families: &[
            "x-ssl-",
            "ssl-client-",
            "x-auth-request-",
            "x-remote-extra-",
            "x-ms-client-principal",
            "x-goog-authenticated-user-",
            "x-amzn-oidc-",
            "x-ms-token-aad-",
            "x-consumer-",
            "x-credential-",
            "x-pomerium-",
            "x-authentik-",
            "cf-access-",
            "tailscale-user-",
            "impersonate-extra-",
        ],
    },
    Reserved {
        because: "Istio's proxies take it for the workload that sends, in metrics, logs and policies",
        names: &[],
        families: &["x-envoy-peer-metadata"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn names_are_in_lower_case_and_stand_once() {
        let all: Vec<&str> =
            RESERVED.iter().flat_map(|r| r.names.iter().chain(r.families)).copied().collect();
        for (index, name) in all.iter().enumerate() {
            assert!(
                portcullis_edge_core::HeaderName::parse(name).is_ok_and(|parsed| parsed.as_str() == *name)
            );
            assert!(!all[..index].contains(name), "{name} twice");
        }
        assert!(RESERVED.iter().all(|group| !group.because.is_empty()));
    }
}
