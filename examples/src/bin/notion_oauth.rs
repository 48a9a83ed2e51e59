//! Connects a Notion user step by step: authorize, callback, token exchange, search, append blocks,
//! read a page with all its blocks, refresh after an expired token, disconnect.
//!
//! `cargo run --bin notion_oauth` runs the complete example offline against a simulated Notion. If
//! you set `NOTION_CLIENT_ID`, `NOTION_CLIENT_SECRET` and `NOTION_REDIRECT_URI`, the example
//! instead prints the authorization URL of the real Notion and exits. See docs/providers/notion.md.

#![expect(clippy::print_stdout, reason = "the example explains what it does")]

use std::sync::Arc;
use std::time::Duration;

use connector_examples::{Outcome, authorization_url, is_set, run_jobs};
use connector_notion::sim::{Consent, Simulator};
use connectors::cipher::Keyring;
use connectors::clock::{Clock, ManualClock, SystemClock};
use connectors::notion::endpoints::{AppendBlocks, Search, TreeItem};
use connectors::notion::models::{BlockContent, PageId};
use connectors::notion::{Notion, NotionClient, NotionConfig, VARIABLES};
use connectors::{Actor, CorrelationId, Hub, MemoryStore, RequestContext, TenantId};
use futures_util::TryStreamExt;

#[tokio::main]
async fn main() -> Outcome<()> {
    if VARIABLES.iter().any(|variable| is_set(variable.name)) {
        let hub = Hub::builder().connector(Notion::new(NotionConfig::from_env()?));
        let url = authorization_url(hub, Notion::ID).await?;
        println!("authorize: open {url}");
        return Ok(());
    }
    let clock = ManualClock::new(SystemClock::new().now());
    let sim = Simulator::builder(clock.clone()).start().await?;
    sim.add_page("Roadmap")?;
    println!("simulator: Notion at {}", sim.server().address());

    let hub = Hub::builder()
        .store(MemoryStore::new(Arc::new(clock.clone())))
        .cipher(Keyring::parse(&Keyring::generate()?)?)
        .clock(clock.clone())
        .connector(Notion::new(NotionConfig::for_simulator(&sim)?))
        .build()?;
    let (tenant, user) = (TenantId::new("tenant-1")?, Actor::User("user-1".into()));

    let authorization = hub
        .authorize(&tenant, Notion::ID)
        .actor(user.clone())
        .begin()
        .await?;
    let url = authorization.url();
    println!(
        "authorize: {}{}",
        url.host_str().unwrap_or_default(),
        url.path()
    );
    let callback = sim.authority().visit(url, &Consent::Grant)?;
    println!(
        "callback: {}{}",
        callback.host_str().unwrap_or_default(),
        callback.path()
    );
    let query = callback.query().unwrap_or_default();
    let connected = hub
        .callback(Notion::ID, query, authorization.binding().clone())
        .actor(user.clone())
        .tenant(&tenant)
        .await?;
    let exchanges = || sim.server().count(&http::Method::POST, "/v1/oauth/token");
    println!("token exchange: {} request", exchanges());
    let connection = connected.connection();
    println!(
        "identity: {} ({})",
        connection.account.label.as_deref().unwrap_or_default(),
        connection.status
    );
    let key = connection.key().clone();

    let client: NotionClient = hub.client(&key).await?;
    let found = client
        .send(&Search::new().pages().with_query("road"))
        .await?;
    let page = found.items.first().and_then(|it| it.page());
    let page = page.ok_or("the page does not exist")?;
    println!("search: {}", page.title());
    let page: PageId = page.id.clone();

    let tasks =
        (1..=150).map(|number| BlockContent::to_do([format!("Task {number}").as_str()], false));
    let plan = BlockContent::heading_1(["Plan"]);
    let list = BlockContent::toggle(["Tasks"]).with_children(tasks);
    let appended = client
        .append(AppendBlocks::to(page.clone(), [plan, list])?)
        .await;
    println!(
        "append: {} blocks, complete: {}",
        appended.written,
        appended.failure.is_none()
    );
    let tree: Vec<TreeItem> = client.block_tree(page.clone()).try_collect().await?;
    println!("page tree: {} blocks", tree.len());
    for item in tree.iter().take(3) {
        if let TreeItem::Block { block, depth } = item {
            println!("{}{}", "  ".repeat(depth + 1), block.content.plain_text());
        }
    }

    // Notion does not state the lifetime of tokens. The client refreshes the token after Notion
    // rejects a call.
    clock.advance(Duration::from_hours(24));
    client.send(&Search::new()).await?;
    println!("refresh: {} token requests in total", exchanges());

    let context = RequestContext::new(user, CorrelationId::default());
    hub.disconnect(&key, context).await?;
    run_jobs(&hub, &clock).await?;
    let revoked = sim.server().count(&http::Method::POST, "/v1/oauth/revoke");
    println!("disconnect: {revoked} revocation");
    if let Err(error) = hub.access_token(&key).await {
        println!("disconnect: the hub refuses further token requests: {error}");
    }
    hub.shutdown(Duration::from_secs(10)).await?;
    println!("done");
    Ok(())
}
