//! The gatekeeper of a tenant, from checked values.

use super::CompileError;
use super::authorizers::ShapeAuthorizers;
use crate::config::{GatekeeperSettings, MintSetting, MintShapeSetting, TenantConfig, VerifySetting};
use crate::gatekeeper::{
    Gatekeeper, MintSettings, MintShape, Minter, SigningKeySource, SigningKeys, Verifier, VerifySettings,
};
use crate::identity::MemoryLimits;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn gatekeeper(
    config: &TenantConfig,
    authorizers: &ShapeAuthorizers,
) -> Result<Gatekeeper, CompileError> {
    let Some(settings) = &config.gatekeeper else {
        return Ok(Gatekeeper::default());
    };
    let minter = settings
        .mint
        .as_ref()
        .map(|mint| minter(config, settings, mint, authorizers))
        .transpose()?;
    let verifier = settings
        .verify
        .as_ref()
        .map(|verify| verifier(config, settings, verify, minter.as_ref()))
        .transpose()?;
    Ok(Gatekeeper { minter, verifier })
}

fn minter(
    config: &TenantConfig,
    settings: &GatekeeperSettings,
    mint: &MintSetting,
    authorizers: &ShapeAuthorizers,
) -> Result<Minter, CompileError> {
    let shapes: Vec<MintShape> = settings
        .shapes
        .iter()
        .filter_map(|shape| mint_shape(config, shape, authorizers))
        .collect();
    let longest = shapes
        .iter()
        .map(MintShape::ttl_max)
        .fold(mint.ttl, Duration::max);
    let sources: Vec<SigningKeySource> = mint.keys.iter().map(|key| key.source.clone()).collect();
    let keys = SigningKeys::compile(&sources, longest)
        .map_err(|(place, error)| CompileError::SigningKeys { place, error })?;
    let settings = MintSettings {
        issuer: mint.issuer.value.as_str().into(),
        tenant: Arc::clone(&config.id),
        url: mint.url.as_str().into(),
        path: mint.path.value.clone(),
        external: mint.external,
        ttl: mint.ttl,
    };
    Ok(Minter::new(settings, keys, shapes))
}

fn mint_shape(
    config: &TenantConfig,
    setting: &MintShapeSetting,
    authorizers: &ShapeAuthorizers,
) -> Option<MintShape> {
    let shape = config
        .shapes
        .iter()
        .find(|shape| shape.settings.name.value == setting.name.value)?;
    let ttls = shape
        .settings
        .rules
        .iter()
        .enumerate()
        .filter_map(|(index, rule)| {
            let ttl = rule.ttl.as_ref()?.value;
            Some((Arc::from(format!("rules[{index}]")), ttl))
        });
    Some(MintShape::new(
        Arc::clone(&shape.policy),
        authorizers.of_shape(shape),
        setting.declared.clone(),
        shape.settings.path.value.names().cloned().collect(),
        ttls.collect::<HashMap<_, _>>(),
    ))
}

fn verifier(
    config: &TenantConfig,
    settings: &GatekeeperSettings,
    verify: &VerifySetting,
    minter: Option<&Minter>,
) -> Result<Verifier, CompileError> {
    let own = minter.map(|minter| (minter.issuer(), minter.keys()));
    let settings = VerifySettings {
        tenant: Arc::clone(&config.id),
        issuers: verify.issuers.iter().map(|issuer| issuer.value.clone()).collect(),
        unsigned: verify.unsigned.clone(),
        tagger: settings.tagger.clone(),
        memory: MemoryLimits::default(),
    };
    Ok(Verifier::new(settings, own)?)
}
