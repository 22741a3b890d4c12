//! TLS for clients that speak plain text: what a client sends to the door goes on to Envoy over TLS, and back.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::model::Version;
use crate::plan::{Request, Shown};

/// A door for one client.
pub struct Door {
    /// Where the client connects in Envoy's place.
    pub address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Door {
    /// Opens one for this request.
    ///
    /// # Errors
    /// Why there is none.
    pub fn open(request: &Request, shown: &Shown, envoy: SocketAddr) -> Result<Self, String> {
        let config = Arc::new(config(shown, request.http2).map_err(|error| error.to_string())?);
        // Without a name, an address is asked for, which is not told.
        let nobody = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
        let name = match shown.server_name.as_str() {
            "" => nobody,
            name => ServerName::try_from(name.to_owned()).map_err(|error| format!("{name}: {error}"))?,
        };
        let (source, head) = (request.from, request.proxy_head());
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().map_err(|error| error.to_string())?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        runtime.spawn(async move {
            // A connection that breaks is no news: the client is told by its end.
            if let Ok((plain, _)) = listener.accept().await {
                let _ = pass(plain, TlsConnector::from(config), name, source, head, envoy).await;
            }
        });
        Ok(Self { address, _runtime: runtime })
    }
}

async fn pass(
    mut plain: TcpStream,
    connector: TlsConnector,
    name: ServerName<'static>,
    source: IpAddr,
    head: Option<String>,
    envoy: SocketAddr,
) -> std::io::Result<()> {
    plain.set_nodelay(true)?;
    let socket = TcpSocket::new_v4()?;
    if head.is_none() {
        socket.bind((source, 0).into())?;
    }
    let mut stream = socket.connect(envoy).await?;
    stream.set_nodelay(true)?;
    stream.write_all(head.unwrap_or_default().as_bytes()).await?;
    let mut secure = connector.connect(name, stream).await?;
    copy_bidirectional(&mut plain, &mut secure).await?;
    Ok(())
}

fn config(shown: &Shown, http2: bool) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let versions = match shown.version {
        Version::Tls12 => [&TLS12],
        Version::Tls13 => [&TLS13],
    };
    let anybody = Arc::new(Anybody(provider.clone()));
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(anybody);
    let mut config = match &shown.certificate {
        Some(own) => {
            let key = PrivateKeyDer::try_from(own.key_der.clone())
                .map_err(|error| Error::General(error.to_owned()))?;
            builder.with_client_auth_cert(vec![CertificateDer::from(own.der.clone())], key)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Ok(config)
}

/// Any server will do: whom the client talks to is not what a scenario is about.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
