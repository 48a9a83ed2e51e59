//! Types of requests and responses. Values and JSON members that this version does not know are
//! kept, and are written back unchanged.

mod block;
mod comment;
mod common;
mod event;
mod filter;
mod id;
mod page;
mod property;
mod rich_text;
mod tagged;
mod user;
mod view;

pub use self::block::{
    Block, BlockContent, CodeBlock, Container, FileBlock, LinkTarget, MeetingNotes, Position,
    SyncedBlock, SyncedFrom, Table, TableRow, TextBlock, Title, Unsupported, UrlBlock,
};
pub use self::comment::{Comment, FileUpload, Parts};
pub(crate) use self::common::List;
pub use self::common::{
    CustomEmoji, DateValue, File, FileSource, HostedFile, Icon, NamedIcon, Parent, ParentKind,
    Reference, SelectOption,
};
pub use self::event::{EVENT_TYPES, Entity, WebhookEvent};
pub use self::filter::{
    CheckboxCondition, ChoiceCondition, DateCondition, Direction, Filter, FormulaCondition,
    ListCondition, NumberCondition, PresenceCondition, RollupCondition, Sort, TextCondition,
    VerificationCondition,
};
pub use self::id::{
    BlockId, CommentId, DataSourceId, DatabaseId, DiscussionId, FileUploadId, InvalidId, PageId,
    PropertyId, UserId, ViewId, ViewQueryId,
};
pub use self::page::{
    AsyncTask, DataSource, DataSourceReference, Database, MaybeLater, Page, PageMarkdown,
    PageOrDataSource, PageTemplate, Properties,
};
pub use self::property::{
    Formula, FormulaConfig, NumberFormat, Options, Property, PropertyConfig, PropertyItem,
    PropertyKind, PropertyValue, RelationConfig, RelationDirection, Rollup, RollupConfig,
    RollupValue, Schema, UniqueId, UniqueIdConfig, Verification,
};
pub use self::rich_text::{
    Annotations, Expression, Link, Mention, RichText, RichTextContent, TemplateMention, Text,
    plain_text,
};
pub use self::user::{Bot, Owner, Person, User, UserKind, WorkspaceLimits};
pub use self::view::{
    DeletedViewQuery, GroupBy, View, ViewConfiguration, ViewCover, ViewKind, ViewProperty,
    ViewQuery, ViewReference, ViewRow,
};

/// JSON members of an object that this version does not know.
pub type Other = serde_json::Map<String, serde_json::Value>;
