//! `optikon serve`: joins the crates, serves, ends in order.

mod access;
mod backup;
mod central;
mod checks;
mod compatible;
mod inline;
mod peers;
mod secrets;
mod slots;
mod tasks;
mod tls;
mod v0;
mod vault;
mod wiring;

pub(crate) use backup::take as take_backup;
pub(crate) use central::{member as member_of, read_own_kubeconfig};
pub(crate) use slots::for_engine;
pub(crate) use tls::write as write_secret;
pub(crate) use wiring::{fillings, plugins_folder};

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use optikon_api::{Listener, Serving, TlsFiles};
use tokio::sync::watch;

use crate::{
    args::ServeArgs,
    cli::output,
    config::{self, Config},
    telemetry,
};

/// After a signal everything has ended by then.
const GRACE: Duration = Duration::from_secs(20);
/// Descriptors wanted: two per member of a large fleet, and clients.
const DESCRIPTORS: u64 = 65_536;
/// Fewer than this and a warning is due.
const FEW_DESCRIPTORS: u64 = 4_096;

/// Runs the gateway until a signal.
pub(crate) async fn serve(args: ServeArgs) -> Result<ExitCode> {
    let config = match config::read(args.config.as_deref()) {
        Ok(config) => config,
        Err(problems) => {
            for problem in &problems {
                output::warn(problem);
            }
            bail!(
                "the configuration has {} error(s); nothing was started",
                problems.len()
            );
        }
    };
    let traces = telemetry::start(config.log_format, &config.telemetry)?;
    raise_descriptors();
    let address = args.listen.unwrap_or(config.server.listen);
    let tls = tls_files(&args, &config)?;
    if tls.is_none() && !address.ip().is_loopback() {
        bail!(
            "refusing to listen on {address} without TLS: set [server.tls] cert and key, or start with --tls"
        );
    }
    let listener = Listener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let listener = match tls.clone() {
        Some(files) => listener.with_tls(files)?,
        None => listener,
    };
    let address = listener.address()?;
    let original = v0::bind(&config, tls).await?;
    let mut addresses = vec![address];
    if let Some(original) = &original {
        addresses.push(original.address()?);
    }
    let (shutdown, ending) = watch::channel(false);
    let joined = wiring::join(&args, &config, addresses, ending.clone()).await?;
    let router = optikon_api::router(joined.gateway.clone());
    let tasks =
        tasks::start(&joined, &config, &args.data_dir).context("the background cannot start")?;

    output::say(format_args!(
        "listening on {}://{address}",
        listener.scheme()
    ));
    let serving_original = v0::serve(original, &joined.gateway, &config, ending.clone());
    let signals = async {
        signal().await;
        tracing::info!("ending; a second signal ends at once");
        shutdown.send_replace(true);
        signal().await;
        tracing::warn!("ended at once");
        std::process::exit(130);
    };
    let serving = listener.serve(
        router,
        Serving {
            shutdown: ending,
            grace: GRACE,
        },
    );
    tokio::select! {
        ((), ()) = async { tokio::join!(serving, serving_original) } => {}
        () = signals => {}
    }
    drop(tasks);
    joined.close().await;
    if let Some(traces) = traces {
        traces.close().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Ctrl-C or SIGTERM.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

fn raise_descriptors() {
    match rlimit::increase_nofile_limit(DESCRIPTORS) {
        Ok(now) if now >= FEW_DESCRIPTORS => {}
        Ok(now) => tracing::warn!(
            now,
            "few file descriptors are allowed; raise the hard limit (ulimit -Hn) for many clusters"
        ),
        Err(error) => tracing::warn!(%error, "the limit of file descriptors could not be raised"),
    }
}

fn tls_files(args: &ServeArgs, config: &Config) -> Result<Option<TlsFiles>> {
    if let Some(tls) = &config.server.tls {
        return Ok(Some(TlsFiles {
            certificate: tls.cert.clone(),
            key: tls.key.clone(),
            client_ca: tls.client_ca.clone(),
        }));
    }
    if args.tls {
        return Ok(Some(tls::own(
            &args.data_dir.join("tls"),
            &config.server.hosts,
        )?));
    }
    Ok(None)
}
