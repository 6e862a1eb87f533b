//! Whose certificates are trusted: the host's authorities (rustls-native-certs; `SSL_CERT_FILE` and
//! `SSL_CERT_DIR` replace them), and those of `ca_file` beside them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use super::NetError;

/// A configuration that trusts the host's authorities and those in `ca_file`.
pub(super) fn config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, NetError> {
    let mut roots = RootCertStore::empty();
    let loaded = rustls_native_certs::load_native_certs();
    let (mut added, _) = roots.add_parsable_certificates(loaded.certs);
    if let Some(path) = ca_file {
        added += add_file(&mut roots, path)?;
    }
    if added == 0 {
        let what = loaded.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(NetError::Roots { what });
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| NetError::Roots { what: error.to_string() })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<usize, NetError> {
    let failed = |what: String| NetError::CaFile { path: path.display().to_string(), what };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    let mut added = 0;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        added += 1;
    }
    if added == 0 {
        return Err(failed("it holds no certificate in PEM form".to_owned()));
    }
    Ok(added)
}

/// What a handshake's error means for whoever runs the agent.
pub(super) fn explain(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let advice = match inner {
        Some(rustls::Error::InvalidCertificate(what)) => match what {
            CertificateError::UnknownIssuer => {
                "the server's certificate is of an authority that this host does not know: install ca-certificates, or \
                 name your own authority's file as `ca_file`"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the server's certificate is for another name: check `url`"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the server's certificate has expired, or this host's clock is wrong"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet: this host's clock is probably wrong"
            }
            _ => "the server's certificate is not good",
        },
        Some(rustls::Error::InvalidMessage(_)) => "there is no TLS at that port: does `url` want http://?",
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the server ended the connection where TLS begins: does `url` want http://?"
        }
        _ => return error.to_string(),
    };
    format!("{advice} ({error})")
}
