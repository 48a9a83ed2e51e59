//! Facts about a connection: the workspace, the owner, limits, and the number of members.

use connector_core::api::PageCursor;
use connector_core::provider::oauth::{ExchangeError, Identity};
use connector_core::provider::{Context, PagedEndpoint as _};
use connector_core::{Account, AccountKey, Credential, ErrorKind, Metadata, Result};

use crate::Notion;
use crate::endpoints::{GetMe, ListUsers};
use crate::models::{Bot, Owner, UserKind};

/// Maximum number of pages of users to count, with 100 users each.
const PAGES: usize = 20;

/// Reads the account and its metadata. Metadata from the token response is kept if this response
/// does not contain it.
pub(crate) async fn identify(
    notion: &Notion,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<Identity> {
    let me = cx.call(notion, credential, &GetMe::new()).await;
    let me = me.map_err(ExchangeError::into_error)?;
    let known = credential.identity();
    let mut facts = known.map_or_else(Metadata::new, |it| it.metadata.clone());
    let mut account = match known {
        Some(known) => known.account.clone(),
        None => Account::identified(AccountKey::new(me.id.as_str())?),
    };
    if let Some(name) = &me.name {
        facts.insert("bot_name", name)?;
    }
    let label = if let UserKind::Bot(bot) = &me.kind {
        add_bot(&mut facts, bot)?;
        bot.workspace_name.as_ref()
    } else {
        me.name.as_ref()
    };
    if let Some(name) = label {
        account = account.with_label(name.chars().take(255).collect::<String>());
    }
    match members(notion, cx, credential).await {
        Ok((count, is_whole)) => {
            facts.insert("members", &count)?;
            facts.insert("members_complete", &is_whole)?;
        }
        Err(error) if error.kind() == ErrorKind::Unauthorized => return Err(error),
        // The connection may lack the capability to read users.
        Err(error) => {
            let operation = "notion.identify";
            tracing::debug!(connector = "notion", operation, error = %error, "members not counted");
        }
    }
    Ok(Identity::new(account).with_metadata(facts))
}

fn add_bot(facts: &mut Metadata, bot: &Bot) -> Result<()> {
    if let Some(id) = &bot.workspace_id {
        facts.insert("workspace_id", id)?;
    }
    if let Some(name) = &bot.workspace_name {
        facts.insert("workspace_name", name)?;
    }
    let limits = bot.workspace_limits.as_ref();
    if let Some(bytes) = limits.and_then(|it| it.max_file_upload_size_in_bytes) {
        facts.insert("max_file_upload_size_in_bytes", &bytes)?;
    }
    match &bot.owner {
        Some(Owner::User(user)) => {
            facts.insert("owner_type", &"user")?;
            facts.insert("owner", &user.id)?;
            if let Some(name) = &user.name {
                facts.insert("owner_name", name)?;
            }
            if let UserKind::Person(person) = &user.kind
                && let Some(email) = &person.email
            {
                facts.insert("owner_email", email)?;
            }
        }
        Some(Owner::Workspace(_)) => facts.insert("owner_type", &"workspace")?,
        _ => {}
    }
    Ok(())
}

/// Returns the number of people in the workspace, and whether all of them were counted.
async fn members(
    notion: &Notion,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<(usize, bool)> {
    let (mut count, mut listing) = (0, ListUsers::new());
    let mut last: Option<PageCursor> = None;
    for _ in 0..PAGES {
        let page = cx.call(notion, credential, &listing).await;
        let page = page.map_err(ExchangeError::into_error)?;
        let people = page
            .items
            .iter()
            .filter(|it| matches!(it.kind, UserKind::Person(_)));
        count += people.count();
        match page.next {
            Some(next) if last.as_ref() != Some(&next) => {
                listing = listing.at(&next);
                last = Some(next);
            }
            Some(_) => return Ok((count, false)),
            None => return Ok((count, true)),
        }
    }
    Ok((count, false))
}
