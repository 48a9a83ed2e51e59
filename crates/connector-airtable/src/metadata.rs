//! Metadata of a user, which consists of the currently granted scopes and the accessible bases.

use connector_core::provider::Context;
use connector_core::provider::oauth::{ExchangeError, Identity};
use connector_core::{Account, AccountKey, Credential, ErrorKind, Metadata, Result};
use serde_json::json;

use crate::Airtable;
use crate::endpoints::{ListBases, WhoAmI};

/// Maximum number of pages of bases to read. A page has up to 1,000 bases.
const PAGES: usize = 10;

/// Identifies the account, and reads its metadata `email`, `scopes` and `bases`.
pub(crate) async fn identify(
    airtable: &Airtable,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<Identity> {
    let user = cx.call(airtable, credential, &WhoAmI::new()).await;
    let user = user.map_err(ExchangeError::into_error)?;
    let mut account = Account::identified(AccountKey::new(user.id)?);
    let mut facts = Metadata::new();
    if let Some(email) = user.email {
        facts.insert("email", &email)?;
        account = account.with_label(email);
    }
    facts.insert("scopes", &user.scopes)?;
    match bases(airtable, cx, credential).await {
        Ok(bases) => facts.insert("bases", &bases)?,
        Err(error) if error.kind() == ErrorKind::Unauthorized => return Err(error),
        // The account is identified. The bases are read again at the next metadata refresh.
        Err(error) => {
            let operation = "airtable.identify";
            tracing::info!(
                connector = "airtable",
                operation,
                error = %error,
                "the bases could not be read"
            );
        }
    }
    Ok(Identity::new(account).with_metadata(facts))
}

async fn bases(
    airtable: &Airtable,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<Vec<serde_json::Value>> {
    let mut bases = Vec::new();
    let mut listing = ListBases::new();
    for _ in 0..PAGES {
        let page = cx.call(airtable, credential, &listing).await;
        let page = page.map_err(ExchangeError::into_error)?;
        bases.extend(page.items.iter().map(|base| {
            json!({ "id": base.id, "name": base.name, "permission_level": base.permission_level })
        }));
        match page.next {
            Some(next) => listing = listing.after(next),
            None => break,
        }
    }
    Ok(bases)
}
